"""The disk quota: what is taken, and the supervisor that stops gocryptfs at it."""
