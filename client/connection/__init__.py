"""The stock ssh: its command lines, host keys, the session on the gateway, and what the gateway answers."""
