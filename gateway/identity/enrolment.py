"""Keys that were handed in by invitation and wait for a sysadmin: written by the front, read by `enc-gateway key`.

An invitation is a line of authorized_keys whose key may do nothing but hand in one other key. What it handed in lies
here, in a directory of the gateway's account, as one file with the invitation's name, made once: a second attempt
fails. The file is a claim and no right; only a sysadmin's `key approve` makes a line of it.
"""

from __future__ import annotations

import os

from gateway.base import files, json
from gateway.base.records import Record
from gateway.errors import CannotCreate, Misconfigured, NotYours, Usage
from gateway.identity import authorized_keys
from gateway.identity.names import Principal

LARGEST = 4096


class HandedIn(Record):
    """A public key, the invitation it came by (that key's fingerprint), from where and when (UTC, RFC 3339)."""

    invite: str
    key_type: str
    blob: str
    label: str
    address: str
    time: str

    @property
    def fingerprint(self) -> str:
        return authorized_keys.fingerprint(self.blob)


def of_line(line: str) -> authorized_keys.Entry:
    """The one bare public key that somebody hands in. Raises Usage, whose message does not repeat the line."""
    if "PRIVATE KEY" in line:
        raise Usage("that is a private key, and it was not kept", "hand in the file that ends in .pub")
    found = authorized_keys.parse(line)
    if len(found) != 1 or found[0].options or not authorized_keys.is_key(found[0].key_type, found[0].blob):
        kinds = " or ".join(authorized_keys.KEY_TYPES)
        raise Usage(f"that is not one public key of type {kinds}", "ssh-keygen -t ed25519 makes one")
    return found[0]


def hand_in(directory: str, key: HandedIn) -> None:
    """Keep `key` for the sysadmin: once for each invitation, whole or not at all. Raises NotYours when it was used."""
    try:
        files.create(_path(directory, key.invite), json.dumps(key.as_dict()))
    except FileNotFoundError as error:
        raise Misconfigured("the gateway has no directory for keys that are handed in") from error
    except FileExistsError as error:
        raise NotYours("this invitation was used already", "ask your sysadmin for another one") from error
    except OSError as error:
        raise CannotCreate("the key could not be kept", error.strerror) from error


def pending(directory: str) -> tuple[HandedIn, ...]:
    """What waits, oldest first. A file of another shape is left out: it gives nobody anything."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return ()
    found = (_read(os.path.join(directory, name)) for name in names if name.startswith("k-"))
    return tuple(sorted((key for key in found if key), key=lambda key: (key.time, key.invite)))


def withdraw(directory: str, invite: str) -> None:
    """Forget what came by this invitation, if anything did."""
    if os.path.lexists(_path(directory, invite)):
        os.unlink(_path(directory, invite))


def _path(directory: str, invite: str) -> str:
    return os.path.join(directory, Principal.of_fingerprint(invite).directory)


def _read(path: str) -> HandedIn | None:
    try:
        key = HandedIn(**json.loads(files.read(path, LARGEST)))
        sound = all(isinstance(value, str) and value.isprintable() for value in key.as_dict().values())
        named = _path(os.path.dirname(path), key.invite) == path
    except (OSError, ValueError, TypeError, RecursionError, Usage):
        return None
    return key if sound and named and authorized_keys.is_key(key.key_type, key.blob) else None
