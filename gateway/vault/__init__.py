"""The on-disk format: vaults, their unlock slots, creation and removal, ciphertext checks, backup, gocryptfs."""
