"""What all our bubblewrap command lines begin with: new namespaces, /usr read-only, no capability, no environment.

A session's sandbox is made in `gateway.sandbox.session`; inside it, each attached program gets one of its own
(`transfer`, `execution`). `fsck` is for checking a vault that is locked.
"""

from __future__ import annotations

import os

from gateway.base import process
from gateway.sandbox import paths

BWRAP = "/usr/bin/bwrap"


def system_argv() -> list[str]:
    """/usr read-only, and the links that a merged /usr has; no capability and no environment from outside."""
    return ["--unshare-user", "--unshare-all", "--uid", str(os.getuid()), "--gid", str(os.getgid()), *_system()]


def networked_argv(users: int) -> list[str]:
    """The same as uid 0 of the user namespace behind the descriptor `users`, in our network namespace."""
    apart = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    return ["--userns", str(users), *apart, "--uid", "0", "--gid", "0", *_system()]


def _system() -> list[str]:
    words = ["--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for key, value in process.ENVIRONMENT.items():
        words += ["--setenv", key, value]
    return words


def passwd(home: str = paths.PROJECTS) -> bytes:
    """An /etc/passwd with the gateway's account alone: sftp-server does not start without an entry."""
    return b"enc:x:%d:%d::%s:/usr/sbin/nologin\n" % (os.getuid(), os.getgid(), home.encode())


def trial_argv() -> list[str]:
    """A sandbox that mounts a /proc and ends: what succeeds where the kernel lets an account have the real one."""
    return [BWRAP, *system_argv(), "--proc", "/proc", "--", "/usr/bin/true"]
