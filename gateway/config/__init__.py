"""gateway.toml: its keys, the parser, and the reference text generated from the keys."""
