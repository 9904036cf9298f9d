"""Limits of a principal: concurrency, login rate, backoff after wrong passphrases, disk quota."""
