"""The interpreter and the kernel: what every other room may use, and which uses nothing of ours but errors."""
