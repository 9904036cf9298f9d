"""Sandboxes: the bubblewrap command lines, system call filter, cgroups and network of sessions and their programs."""
