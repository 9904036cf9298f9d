"""The clock: the audit's times, and lines that expire, are worth what it is worth."""

from __future__ import annotations

import calendar
import ctypes
import os
import time

from gateway.base import json
from gateway.doctor.finding import Finding, Patient, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_SYNCHRONIZED = 5  # TIME_ERROR, adjtimex(2)
_TIMEX_BYTES = 512  # more than struct timex has
_TOLERANCE = 60


def check(patient: Patient) -> Iterator[Finding]:
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # zeros: only asks
    if state == _NOT_SYNCHRONIZED:
        yield warn("clock", "not synchronized", "apt install systemd-timesyncd, or chrony")
    else:
        yield ok("clock", "synchronized")
    ahead = _newest_record(patient.config.paths_audit) - time.time()
    if ahead > _TOLERANCE:
        yield warn("clock", f"the audit has a record of {ahead:.0f} s in the future", "was the clock put back?")


def _newest_record(path: str) -> float:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 64 * 1024))
            said = json.loads(file.read().splitlines()[-1])["time"]
        return calendar.timegm(time.strptime(said[:19], "%Y-%m-%dT%H:%M:%S"))
    except (OSError, ValueError, LookupError, TypeError):
        return 0.0
