"""The machine: the kernel's tables, processes, files, and the passphrase that the user types."""
