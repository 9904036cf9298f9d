"""Check free space, and that the run directory is on a tmpfs."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Target, fail, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LOW_SHARE = 0.10
_MIB = 1 << 20
_IN_MEMORY = ("tmpfs", "ramfs")
_COUNTS_BLOCKS = ("ext4", "xfs", "f2fs", "tmpfs")
"""File systems on which gocryptfs reserves blocks before it writes, and st_blocks is what a file takes."""


def check(target: Target) -> Iterator[Finding]:
    config = target.config
    for path in (config.paths_vaults, os.path.dirname(config.paths_audit)):
        if os.path.isdir(path):
            yield _free_space(path)
    audit = os.path.dirname(config.paths_audit)
    if os.path.isdir(audit) and _free(audit) < config.audit_reserve * _MIB:
        state = f"{audit} has less than audit.reserve ({config.audit_reserve} MiB) free: nothing new begins"
        yield fail("disk", state, "free space, or run `enc-gateway audit rotate` and move the rotated log elsewhere")
    if os.path.isdir(config.paths_run) and _filesystem(config.paths_run) not in _IN_MEMORY:
        yield warn(
            "disk",
            f"{config.paths_run} is not on a tmpfs",
            "set paths.run to a directory on a tmpfs: session records must not outlive a reboot",
        )
    kind = _filesystem(config.paths_vaults) if os.path.isdir(config.paths_vaults) else _COUNTS_BLOCKS[0]
    if config.limits_disk and kind not in _COUNTS_BLOCKS:
        state = f"{config.paths_vaults} is on {kind}, where limits.disk is noticed late and counts inexactly"
        yield warn("disk", state, f"move it to {', '.join(_COUNTS_BLOCKS[:-1])}, or use the quotas of {kind}")


def _free(path: str) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _free_space(path: str) -> Finding:
    found = os.statvfs(path)
    share = min(found.f_bavail / max(1, found.f_blocks), found.f_favail / found.f_files if found.f_files else 1)
    state = f"{path}: {_free(path) // _MIB} MiB free, {share:.0%} of blocks or inodes"
    if share <= 0:
        return fail("disk", state, "free space: projects cannot be written")
    return warn("disk", state, "free space") if share < _LOW_SHARE else ok("disk", state)


def _filesystem(path: str) -> str:
    """The type of the file system that `path` is on."""
    best, kind = "", ""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            _, where, this, *_ = line.split()
            if os.path.commonpath((where, os.path.realpath(path))) == where and len(where) >= len(best):
                best, kind = where, this
    return kind
