"""The `enc` wrapper on the user's machine. Imports nothing of the server."""
