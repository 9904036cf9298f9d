"""The interpreter and the kernel. Every other package may import this one; it imports nothing of ours but errors."""
