"""The command line of the sandbox in which `fsck` checks a vault."""

from __future__ import annotations

from gateway.sandbox import bubblewrap, paths
from gateway.sandbox.host_files import LINKER_CACHE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def check_argv(vault: str, command: Sequence[str]) -> list[str]:
    """bwrap for `gocryptfs -fsck`, with the vault read-only at VAULTS.

    gocryptfs mounts the view for the check; only processes in this sandbox can see it. It does so with fusermount3,
    which is not setuid here and therefore needs uid 0 of this namespace. With CAP_DAC_READ_SEARCH it also reads what
    its owner has closed (`chmod 0`). Nothing is written.
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
    words += ["--ro-bind-try", LINKER_CACHE, LINKER_CACHE]  # as it is now: nothing binds it again in there
    return [*words, "--ro-bind", vault, paths.VAULTS, "--chdir", "/", "--", *command]
