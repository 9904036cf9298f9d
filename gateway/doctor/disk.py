"""Check free space, and that the run directory is on a tmpfs."""

from __future__ import annotations

import os

from gateway.cluster import ceph, mount_table, places
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
    if os.path.isdir(config.paths_run) and mount_table.of(config.paths_run).kind not in _IN_MEMORY:
        yield warn(
            "disk",
            f"{config.paths_run} is not on a tmpfs",
            "set paths.run to a directory on a tmpfs: session records must not outlive a reboot",
        )
    kind = mount_table.of(config.paths_vaults).kind if os.path.isdir(config.paths_vaults) else _COUNTS_BLOCKS[0]
    is_kept = places.is_cluster(config) and kind in ceph.KINDS
    if config.limits_disk and kind not in _COUNTS_BLOCKS and not is_kept:
        state = f"{config.paths_vaults} is on {kind}, where limits.disk is noticed late and counts inexactly"
        yield warn("disk", state, f"move it to {', '.join(_COUNTS_BLOCKS[:-1])}, or use the quotas of {kind}")


def _free(path: str) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _free_space(path: str) -> Finding:
    found = os.statvfs(path)
    shares = [found.f_bavail / max(1, found.f_blocks)]
    if 0 <= found.f_favail <= found.f_files:  # CephFS says -1: it does not count inodes
        shares.append(found.f_favail / max(1, found.f_files))
    share = min(shares)
    state = f"{path}: {_free(path) // _MIB} MiB free, {share:.0%} of blocks or inodes"
    if share <= 0:
        return fail("disk", state, "free space: projects cannot be written")
    return warn("disk", state, "free space") if share < _LOW_SHARE else ok("disk", state)
