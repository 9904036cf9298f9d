"""The realm: a random id of the store of all vaults. It is made once, and moves with the store.

It is in the namespace of the signatures that unlock by SSH key. A client signs for the realm that it knows alone, so no
other gateway can have a user sign what opens a vault here.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.errors import Misconfigured, is_storage_lost, of_storage

FILE = ".realm"
"""Below the directory of the vaults. A dot, so that it is no principal's directory."""
DIGITS = 32
_HEX = frozenset("0123456789abcdef")
_MAX_BYTES = 256


def namespace(realm: str) -> str:
    """The namespace of an unlocking signature (PROTOCOL.sshsig)."""
    return f"unlock@{realm}"


def is_realm(text: str) -> bool:
    return len(text) == DIGITS and _HEX.issuperset(text)


def of(vaults: str) -> str:
    """The realm of the store at `vaults`, which is made now if there is none. Raises Misconfigured."""
    path = os.path.join(vaults, FILE)
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _make(path)
            return _read(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_storage_lost(error):
            raise of_storage(error) from error
        hint = "a sysadmin can restore it from a backup; without it, no SSH key unlocks a project"
        raise Misconfigured(f"the realm of the vaults ({path}) cannot be read or made", hint) from error


def peek(vaults: str) -> str:
    """The same, which is not made: "" if there is none, or it cannot be read."""
    try:
        return _read(os.path.join(vaults, FILE))
    except (OSError, ValueError):
        return ""


def _read(path: str) -> str:
    text = files.read(path, _MAX_BYTES).decode().removesuffix("\n")
    if not is_realm(text):
        raise ValueError("no realm")
    return text


def _make(path: str) -> None:
    """Two at once make one: the second finds that it exists."""
    try:
        files.create(path, os.urandom(DIGITS // 2).hex() + "\n")
    except FileExistsError:
        return
