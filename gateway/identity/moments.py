"""Moments and spans of time as a sysadmin writes them, and as authorized_keys has them."""

from __future__ import annotations

import re
import time

from gateway.errors import Usage
from gateway.identity import authorized_keys

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds(text: str) -> int | None:
    """`90m`, `24h`, `7d`, `2w` in seconds; None for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def timespec(text: str) -> str:
    """A date, date and time (`2027-01-31`, `2027-01-31T18:00`, with or without Z) as sshd(8) writes it."""
    spec = re.sub(r"(?<=\d)[-:T ](?=\d)", "", text)
    if authorized_keys.moment(spec) is None:
        raise Usage("a moment is 2027-01-31 or 2027-01-31T18:00 (Z behind it for UTC), or a span such as 24h or 7d")
    return spec


def expiry(text: str) -> str:
    """A moment to come as sshd(8) writes it; a span counts from now. Raises Usage for one that is past."""
    span = seconds(text)
    spec = timespec(text) if span is None else time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + span))
    if (authorized_keys.moment(spec) or 0) <= time.time():
        raise Usage(f"{text} is not in the future")
    return spec


def past(text: str) -> float:
    """A moment in seconds since the epoch; a span counts back from now."""
    span = seconds(text)
    return time.time() - span if span is not None else authorized_keys.moment(timespec(text)) or 0.0
