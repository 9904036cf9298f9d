"""One module a command, named after its verb; each has `run(context, command) -> int`."""
