"""The command line of the sandbox in which `fsck` checks and mends a vault."""

from __future__ import annotations

import os
import sys

from gateway.base import interpreter
from gateway.sandbox import bubblewrap, paths
from gateway.sandbox.host_files import LINKER_CACHE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def check_argv(vault: str, command: Sequence[str]) -> list[str]:
    """bwrap for `gocryptfs -fsck`, with the vault read-only at VAULTS: nothing is written."""
    return [*_argv(), "--ro-bind", vault, paths.VAULTS, "--chdir", "/", "--", *command]


def mend_argv(vault: str, config_fd: int, secret_fd: int) -> list[str]:
    """bwrap for gateway.vault.lost_names, with the vault at VAULTS."""
    words = _argv()
    for path in dict.fromkeys((sys.base_prefix, interpreter.code_root())):
        if not path.startswith("/usr/") and path != "/usr":
            words += ["--ro-bind", path, path]
    cipher = os.path.join(paths.VAULTS, "cipher")
    command = interpreter.python("gateway/vault/lost_names.py", cipher, str(config_fd), str(secret_fd))
    return [*words, "--bind", vault, paths.VAULTS, "--chdir", "/", "--", *command]


def _argv() -> list[str]:
    """gocryptfs mounts the view itself; only processes in this sandbox can see it. It does so with fusermount3, which
    is not setuid here and therefore needs uid 0 of this namespace. With CAP_DAC_READ_SEARCH it also reads what its
    owner has closed (`chmod 0`).
    """
    words = [
        bubblewrap.BWRAP,
        *bubblewrap.base_argv(),
        "--cap-add",
        "CAP_SYS_ADMIN",
        "--cap-add",
        "CAP_DAC_READ_SEARCH",
        "--die-with-parent",
        "--new-session",
    ]
    words += ["--uid", "0", "--gid", "0", "--proc", "/proc", "--tmpfs", "/tmp", "--dir", "/dev"]  # noqa: S108
    for node in ("null", "urandom", "fuse"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    return [*words, "--ro-bind-try", LINKER_CACHE, LINKER_CACHE]  # as it is now: nothing binds it again in there
