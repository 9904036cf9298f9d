"""Paths inside the sandboxes."""

from __future__ import annotations

from gateway.base.records import Record

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
KEPT_HOME = ".enc-home"
"""In a project: the home of a workspace that is to stay."""
SHELL = "/usr/bin/bash"
SSHD = "/usr/sbin/sshd"
TMPFS_PATHS = ("/tmp", "/run", "/dev/shm", HOME)  # noqa: S108 - the sandbox's own
"""Where an execution can write besides the views: each is a tmpfs of its own, which ends with it."""


class Shown(Record):
    """Where a program sees the views of its session, and whether it can only read there. Its paths name a project of
    somebody else's `OWNER/PROJECT`.
    """

    directory: str
    read_only: bool

    def argv(self) -> list[str]:
        """bwrap's words for it."""
        return ["--ro-bind" if self.read_only else "--bind", PROJECTS, self.directory]


ALL = Shown(directory=PROJECTS, read_only=False)
