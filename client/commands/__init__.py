"""One module a command. Each has `command`, which client.cli loads when it is asked for."""
