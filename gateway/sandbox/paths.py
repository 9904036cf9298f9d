"""Where things are inside a sandbox, and which paths of the host it is made of."""

from __future__ import annotations

PROJECTS = "/projects"
"""The views. Read-only itself; the warden makes mount points in it through the next one."""
WRITABLE_PROJECTS = "/.projects"
VAULTS = "/vaults"
SESSION = "/session"
AUDIT = "/audit"
KEYS = "/keys"
FUSE = "/dev/fuse"
TERMINALS = "/dev/pts"

HOME = "/home/enc"
SHELL = "/usr/bin/bash"
PRIVATE = ("/tmp", "/run", "/dev/shm", HOME)  # noqa: S108 - the sandbox's own
"""Where an execution can write beside the views: tmpfs, each its own, gone with it."""
