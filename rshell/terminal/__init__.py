"""The caller's terminal: output, questions, line editing, carrying bytes."""
