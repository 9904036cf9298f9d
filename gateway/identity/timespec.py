"""Parse dates and time spans that a sysadmin types, and write the time format of authorized_keys."""

from __future__ import annotations

import re
import time

from gateway.errors import Usage
from gateway.identity import authorized_keys

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def span_seconds(text: str) -> int | None:
    """`90m`, `24h`, `7d` or `2w` in seconds; None for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def of_date(text: str) -> str:
    """A date, or date and time (`2027-01-31`, `2027-01-31T18:00`, with or without Z), as sshd(8) writes it.

    Raises Usage.
    """
    spec = re.sub(r"(?<=\d)[-:T ](?=\d)", "", text)
    if authorized_keys.parse_timespec(spec) is None:
        shown = f"'{text}'" if text.isprintable() and len(text) < 40 else "that"
        raise Usage(f"{shown} is not a date", "write 2027-01-31, 2027-01-31T18:00 (add Z for UTC), or a span: 24h, 7d")
    return spec


def expiry(text: str) -> str:
    """A future time as sshd(8) writes it; a span counts from now. Raises Usage, also for a time in the past."""
    span = span_seconds(text)
    spec = of_date(text) if span is None else time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + span))
    if (authorized_keys.parse_timespec(spec) or 0) <= time.time():
        raise Usage(f"{text} is not in the future")
    return spec


def past(text: str) -> float:
    """A time in seconds since the epoch; a span counts back from now. Raises Usage."""
    span = span_seconds(text)
    return time.time() - span if span is not None else authorized_keys.parse_timespec(of_date(text)) or 0.0
