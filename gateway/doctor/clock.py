"""Check the clock, on which audit times and expiry dates of keys depend."""

from __future__ import annotations

import ctypes
import os
import time

from gateway.audit import lines
from gateway.audit.query import timestamp
from gateway.base import json
from gateway.doctor.finding import Finding, Target, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_SYNCHRONIZED = 5  # TIME_ERROR, adjtimex(2)
_TIMEX_BYTES = 512  # more than struct timex has
_TOLERANCE = 60  # seconds


def check(target: Target) -> Iterator[Finding]:
    state = ctypes.CDLL(None, use_errno=True).adjtimex(
        ctypes.create_string_buffer(_TIMEX_BYTES)
    )  # all zero: reads the state
    if state == _NOT_SYNCHRONIZED:
        yield warn("clock", "not synchronized", "apt install systemd-timesyncd, or chrony")
    else:
        yield ok("clock", "synchronized")
    ahead = _newest_record(target.config.paths_audit) - time.time()
    if ahead > _TOLERANCE:
        yield warn(
            "clock",
            f"the audit log has a record from {ahead:.0f} s in the future",
            "check whether the clock was set back",
        )


def _newest_record(path: str) -> float:
    try:
        with lines.open_log(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 64 * 1024))
            return timestamp(json.loads(file.read().splitlines()[-1])["time"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0.0
