"""The command line of the sandbox in which a vault is checked."""

from __future__ import annotations

from gateway.sandbox import bubblewrap, paths
from gateway.sandbox.host_files import LINKER_CACHE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def check_argv(vault: str, command: Sequence[str]) -> list[str]:
    """bwrap for a `gocryptfs -fsck`, which mounts: the vault is read-only at VAULTS, and what it mounts is seen by it
    alone. Uid 0 of this namespace, for fusermount3, which is not setuid here, asks for that; nothing is written.
    """
    words = [
        bubblewrap.BWRAP,
        *bubblewrap.system_argv(),
        "--cap-add",
        "CAP_SYS_ADMIN",
        "--die-with-parent",
        "--new-session",
    ]
    words += ["--uid", "0", "--gid", "0", "--proc", "/proc", "--tmpfs", "/tmp", "--dir", "/dev"]  # noqa: S108
    for node in ("null", "urandom", "fuse"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    words += ["--ro-bind-try", LINKER_CACHE, LINKER_CACHE]  # for once: nothing is bound again in here
    return [*words, "--ro-bind", vault, paths.VAULTS, "--chdir", "/", "--", *command]
