"""The on-disk format: a project's vault, its unlock slots, its life, its ciphertext, gocryptfs."""
