"""Recovery codes: 256 random bits for people to write down, with a checksum that finds typing errors.

The code as it is printed is gocryptfs's passphrase: nothing has to be derived to open a project without the gateway.
"""

from __future__ import annotations

import os

from gateway.base.sha256 import sha256
from gateway.errors import Usage

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: without the letters that look like others."""
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_DIGITS, _CHECKED_BY, _GROUP = 52, 4, 4
_LENGTH = _DIGITS + _CHECKED_BY
_MOST_TYPED = 200


def new() -> str:
    """A new code, as `canonical` returns it: 14 groups of 4."""
    number = int.from_bytes(os.urandom(32), "big")
    digits = "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_DIGITS - 1), -1, -5))
    return _grouped(digits + _checksum(digits))


def canonical(typed: bytes) -> str:
    """The code that somebody typed, in any case and grouping. Raises Usage for a typing error: it repeats nothing."""
    text = _plain(typed)
    if len(text) != _LENGTH:
        more = "missing" if len(text) < _LENGTH else "too many"
        count = abs(len(text) - _LENGTH)
        raise Usage(f"the code is mistyped: {count} characters are {more}", "it has 14 groups of 4")
    if not set(text) <= set(_ALPHABET):
        at = next(at for at, char in enumerate(text) if char not in _ALPHABET)
        raise Usage(f"the code is mistyped: group {at // _GROUP + 1} has a character that no code has")
    digits = text[:_DIGITS]
    if _checksum(digits) != text[_DIGITS:]:
        raise Usage("the code is mistyped: its checksum is wrong", "compare it group by group; nothing was tried")
    return _grouped(text)


def looks_like_one(typed: bytes) -> bool:
    """Whether a line that should be something else is a complete recovery code."""
    text = _plain(typed)
    return len(text) == _LENGTH and set(text) <= set(_ALPHABET) and _checksum(text[:_DIGITS]) == text[_DIGITS:]


def _plain(typed: bytes) -> str:
    text = typed[:_MOST_TYPED].decode("ascii", "replace").upper().translate(_READ_AS)
    return "".join(char for char in text if char not in " -\t\r")


def _checksum(digits: str) -> str:
    hashed = sha256(b"enc-recovery-1 " + digits.encode()).digest()
    return "".join(_ALPHABET[byte & 31] for byte in hashed[:_CHECKED_BY])


def _grouped(text: str) -> str:
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))
