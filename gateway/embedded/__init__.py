"""A complete gateway in one directory and one process tree: stock sshd on loopback, the same code as installed."""
