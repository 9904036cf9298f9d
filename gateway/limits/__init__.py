"""How much a principal may have and do: concurrency, login rate, passphrase backoff, disk."""
