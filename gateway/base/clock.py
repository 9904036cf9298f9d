"""The clocks: UTC for people and records, CLOCK_BOOTTIME for durations and limits."""

from __future__ import annotations

import time


def utc_now() -> str:
    """UTC in RFC 3339, to the second."""
    return utc(time.time())


def utc(seconds: float) -> str:
    """Seconds since the epoch in RFC 3339, UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def boottime() -> float:
    """Seconds since boot (CLOCK_BOOTTIME). Unlike CLOCK_MONOTONIC it includes the time that the host was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def milliseconds_since(began: float) -> int:
    """Milliseconds since `began` (seconds of `boottime`), rounded."""
    return round((boottime() - began) * 1000)
