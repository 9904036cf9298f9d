"""The command lines of the sandboxes in which `fsck` checks and mends a vault, and `rekey` copies it into a new one."""

from __future__ import annotations

import os
import sys

from gateway.base import interpreter
from gateway.sandbox import bubblewrap, paths
from gateway.sandbox.host_files import LINKER_CACHE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


_ENDS_ITSELF = ("--as-pid-1",)
"""For what mounts, in the place of --die-with-parent: a gocryptfs that is killed with its sandbox while it begins to
serve can wait for itself for ever. gateway.vault.inside.private_view ends it."""


def check_argv(vault: str, command: Sequence[str]) -> list[str]:
    """bwrap for `gocryptfs -fsck`, with the vault read-only at VAULTS: nothing is written, and nothing mounted."""
    return [*own_view_argv(), "--die-with-parent", "--ro-bind", vault, paths.VAULTS, "--chdir", "/", "--", *command]


def mend_argv(vault: str, config_fd: int, secret_fd: int) -> list[str]:
    """bwrap for gateway.vault.inside.lost_names, with the vault at VAULTS."""
    words = [*own_view_argv(), *_ENDS_ITSELF, *our_code_argv()]
    cipher = os.path.join(paths.VAULTS, "cipher")
    command = interpreter.python("gateway/vault/inside/lost_names.py", cipher, str(config_fd), str(secret_fd))
    return [*words, "--bind", vault, paths.VAULTS, "--chdir", "/", "--", *command]


def rekey_argv(old: str, new: str, descriptors: Sequence[int]) -> list[str]:
    """bwrap for gateway.vault.inside.rekeying, with the vault `old` read-only. `descriptors` are its own arguments.

    It writes as uid 0 of its namespace to directories of `new` that an earlier run has closed already.
    """
    places = {old: os.path.join(paths.VAULTS, "old"), new: os.path.join(paths.VAULTS, "new")}
    words = [*own_view_argv("CAP_DAC_OVERRIDE"), *_ENDS_ITSELF, *our_code_argv()]
    words += ["--ro-bind", old, places[old], "--bind", new, places[new], "--chdir", "/", "--"]
    ciphers = (os.path.join(place, "cipher") for place in places.values())
    return [*words, *interpreter.python("gateway/vault/inside/rekeying.py", *ciphers, *map(str, descriptors))]


def our_code_argv() -> list[str]:
    """What shows a program of ours its interpreter and our code."""
    words = []
    for path in dict.fromkeys((sys.base_prefix, interpreter.code_root())):
        if not path.startswith("/usr/") and path != "/usr":
            words += ["--ro-bind", path, path]
    return words


def own_view_argv(capability: str = "CAP_DAC_READ_SEARCH") -> list[str]:
    """gocryptfs mounts the view itself; only processes in this sandbox can see it. It does so with fusermount3, which
    is not setuid here and therefore needs uid 0 of this namespace. With CAP_DAC_READ_SEARCH it also reads what its
    owner has closed (`chmod 0`); with CAP_DAC_OVERRIDE in its place it writes to that as well.
    """
    words = [
        bubblewrap.BWRAP,
        *bubblewrap.base_argv(),
        "--cap-add",
        "CAP_SYS_ADMIN",
        "--cap-add",
        capability,
        "--new-session",
    ]
    words += ["--uid", "0", "--gid", "0", "--proc", "/proc", "--tmpfs", "/tmp", "--dir", "/dev"]  # noqa: S108
    for node in ("null", "urandom", "fuse"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    return [*words, "--ro-bind-try", LINKER_CACHE, LINKER_CACHE]  # as it is now: nothing binds it again in there
