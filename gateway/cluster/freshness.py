"""How old this host's copy of what the hosts of a cluster share is (gateway.cluster.places)."""

from __future__ import annotations

import os

from gateway.base.clock import boottime
from gateway.cluster import places
from gateway.errors import Misconfigured

_ROUNDING = 0.1
"""Seconds by which a copy that was just made may lie ahead."""


def age(directory: str) -> float:
    """Seconds since the look began that last made the copy in `directory` complete; infinite if none did, in this boot
    as far as one can see (CLOCK_BOOTTIME begins anew with each, and the directory may be on a disk).
    """
    try:
        found = boottime() - os.stat(os.path.join(directory, places.FRESH)).st_mtime_ns / 1e9
    except OSError:
        return float("inf")
    return found if found > -_ROUNDING else float("inf")


def require(directory: str, stale: float) -> None:
    """Raise Misconfigured when the copy is older than that: the shared file system does not answer, so whose keys are
    good is not known.
    """
    if (seconds := age(directory)) > stale:
        since = f"for {seconds:.0f} s" if seconds < 1e9 else "since this host started"
        raise Misconfigured(f"the gateways' shared disk has not answered {since}", "try again, or tell your sysadmin")
