"""One module per command, with the name of its verb. Each has `run(context, command) -> int`."""
