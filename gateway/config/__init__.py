"""gateway.toml: its keys, reading it, and its reference text."""
