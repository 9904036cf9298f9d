"""The command language: a line into words, words into a command."""
