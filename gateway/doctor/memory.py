"""Check whether memory can end up on a disk: swap and core dumps."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Target, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CORE_PATTERN = "/proc/sys/kernel/core_pattern"
_RESPECTS_LIMIT = "systemd-coredump"


def check(_: Target) -> Iterator[Finding]:
    yield _swap()
    yield _core_dumps()


def _swap() -> Finding:
    """zram is memory; dm-crypt is encrypted. A swap file counts as unencrypted, because its disk is not examined."""
    with open("/proc/swaps", encoding="utf-8", errors="replace") as file:
        devices = [line.split()[0] for line in file.read().splitlines()[1:]]
    plain = [device for device in devices if not (_is_memory(device) or _is_encrypted(device))]
    if plain:
        fix = "encrypt it (crypttab: /dev/urandom,swap), or swapoff: keys and plaintext could reach the disk"
        return warn("swap", f"{' '.join(plain)} is not known to be encrypted", fix)
    return ok("swap", "encrypted, or in memory" if devices else "none")


def _is_memory(device: str) -> bool:
    return os.path.basename(device).startswith("zram")


def _is_encrypted(device: str) -> bool:
    name = os.path.basename(os.path.realpath(device))
    try:
        with open(f"/sys/class/block/{name}/dm/uuid", encoding="ascii") as file:
            return file.read().startswith("CRYPT-")
    except OSError:
        return False


def _core_dumps() -> Finding:
    """We set RLIMIT_CORE to 0. When core_pattern is a pipe, the kernel ignores that (core(5)), systemd-coredump not."""
    with open(_CORE_PATTERN, encoding="utf-8", errors="replace") as file:
        pattern = file.read().strip()
    if pattern.startswith("|") and _RESPECTS_LIMIT not in pattern:
        fix = "sysctl kernel.core_pattern=core"
        return warn("core dumps", f"all are piped to {pattern[1:].split()[0]}, which may write them to disk", fix)
    return ok("core dumps", "our processes write none")
