"""Paths inside the sandboxes."""

from __future__ import annotations

PROJECTS = "/projects"
"""The directory of the views. It is read-only; the warden creates mount points in it through WRITABLE_PROJECTS."""
WRITABLE_PROJECTS = "/.projects"
VAULTS = "/vaults"
SESSION = "/session"
AUDIT = "/audit"
KEYS = "/keys"
FUSE = "/dev/fuse"
TERMINALS = "/dev/pts"

HOME = "/home/enc"
SHELL = "/usr/bin/bash"
TMPFS_PATHS = ("/tmp", "/run", "/dev/shm", HOME)  # noqa: S108 - the sandbox's own
"""Where an execution can write besides the views: each is a tmpfs of its own, which ends with it."""
