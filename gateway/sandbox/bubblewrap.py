"""The common start of all bubblewrap command lines: new namespaces, /usr read-only, no capabilities, no environment.

`gateway.sandbox.session` has the sandbox of a session. Inside it, each attached program gets another sandbox
(`transfer`, `execution`). `fsck` is for checking a locked vault.
"""

from __future__ import annotations

import os

from gateway.base import process

BWRAP = "/usr/bin/bwrap"


def base_argv() -> list[str]:
    """bwrap's options for /usr read-only with the links of a merged /usr, no capabilities, and a fixed environment."""
    return ["--unshare-user", "--unshare-all", "--uid", str(os.getuid()), "--gid", str(os.getgid()), *_system_argv()]


def new_network_argv() -> list[str]:
    """The same for uid 0 of a new user namespace, with a new network namespace, and otherwise in the caller's."""
    return ["--unshare-user", "--unshare-net", "--uid", "0", "--gid", "0", *_system_argv()]


def networked_argv(user_namespace: int) -> list[str]:
    """The same for uid 0 of the existing `user_namespace` (a descriptor), in the network namespace of the caller."""
    unshare = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    return ["--userns", str(user_namespace), *unshare, "--uid", "0", "--gid", "0", *_system_argv()]


def _system_argv() -> list[str]:
    words = ["--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for key, value in process.ENVIRONMENT.items():
        words += ["--setenv", key, value]
    return words


def probe_argv() -> list[str]:
    """bwrap for a sandbox that mounts /proc and ends. If it succeeds, the kernel also permits the real sandbox."""
    return [BWRAP, *base_argv(), "--proc", "/proc", "--", "/usr/bin/true"]
