"""The caller's terminal: output, questions, line editing, and copying bytes to and from a program."""
