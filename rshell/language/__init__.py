"""The command language: a line is split into words, and words are parsed into a command."""
