"""Room on the disks, and that the run directory is on none."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Patient, fail, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LITTLE = 0.10
_MIB = 1 << 20
_MEMORY = ("tmpfs", "ramfs")
_EXACT = ("ext4", "xfs", "f2fs", "tmpfs")
"""Where gocryptfs reserves blocks before it writes, and a file's number of blocks is what it takes."""


def check(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    for path in (config.paths_vaults, os.path.dirname(config.paths_audit)):
        if os.path.isdir(path):
            yield _room(path)
    audit = os.path.dirname(config.paths_audit)
    if os.path.isdir(audit) and _free(audit) < config.audit_reserve * _MIB:
        state = f"less than audit.reserve, {config.audit_reserve} MiB, is left for {audit}: nothing new begins"
        yield fail("disk", state, "make room, or `enc-gateway audit rotate` and move the closed log away")
    if os.path.isdir(config.paths_run) and _kind(config.paths_run) not in _MEMORY:
        yield warn("disk", f"{config.paths_run} is not on a tmpfs", "records of sessions outlive a reboot there")
    kind = _kind(config.paths_vaults) if os.path.isdir(config.paths_vaults) else _EXACT[0]
    if config.limits_disk and kind not in _EXACT:
        state = (
            f"{config.paths_vaults} is on {kind}, where limits.disk is noticed late and blocks are not what is taken"
        )
        yield warn("disk", state, f"have it on {', '.join(_EXACT[:-1])}, or use quotas of {kind}'s own")


def _free(path: str) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _room(path: str) -> Finding:
    found = os.statvfs(path)
    share = min(found.f_bavail / max(1, found.f_blocks), found.f_favail / found.f_files if found.f_files else 1)
    state = f"{path}: {_free(path) // _MIB} MiB free, {share:.0%} of blocks or inodes"
    if share <= 0:
        return fail("disk", state, "make room: no project can be written")
    return warn("disk", state, "make room") if share < _LITTLE else ok("disk", state)


def _kind(path: str) -> str:
    """The type of the file system that `path` is on."""
    best, kind = "", ""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, where, this, *_ = line.split()
            if os.path.commonpath((where, os.path.realpath(path))) == where and len(where) >= len(best):
                best, kind = where, this
    return kind
