"""Keys that were handed in with an invitation and wait for approval: written by the front, read by `enc-gateway key`.

An invitation is a line of authorized_keys whose key can only hand in one other key. That key is kept in a directory of
the gateway's account, in one file named after the invitation. The file is created exclusively, so a second attempt
fails. It grants no access: only a sysadmin's `key approve` adds the key to authorized_keys.
"""

from __future__ import annotations

import os

from gateway.base import files, json
from gateway.base.records import Record
from gateway.errors import CannotCreate, Denied, Misconfigured, Usage
from gateway.identity import authorized_keys
from gateway.identity.names import Principal

MAX_BYTES = 4096
"""Largest file that is read; a key and its label are a few hundred bytes."""


class PendingKey(Record):
    """A public key that waits for approval: also its invitation's fingerprint, its sender's address, and the time (UTC,
    RFC 3339).
    """

    invite: str
    key_type: str
    blob: str
    label: str
    address: str
    time: str

    @property
    def fingerprint(self) -> str:
        return authorized_keys.fingerprint(self.blob)


def parse_key(line: str) -> authorized_keys.Entry:
    """Parse one public key without options. Raises Usage; the message does not repeat the line."""
    if "PRIVATE KEY" in line:
        raise Usage("that is a private key; it was not stored", "hand in the file that ends in .pub")
    found = authorized_keys.parse(line)
    if len(found) != 1 or found[0].options or not authorized_keys.is_key(found[0].key_type, found[0].blob):
        kinds = " or ".join(authorized_keys.KEY_TYPES)
        raise Usage(f"that is not one public key of type {kinds}", "`ssh-keygen -t ed25519` makes one")
    return found[0]


def submit(directory: str, key: PendingKey) -> None:
    """Store `key` in `directory`, durably, for a sysadmin to approve.

    Raises Denied if the invitation has been used, Misconfigured if there is no `directory`, else CannotCreate.
    """
    try:
        files.create(_path(directory, key.invite), json.dumps(key.as_dict()))
    except FileNotFoundError as error:
        raise Misconfigured("the gateway has no directory for keys that are handed in") from error
    except FileExistsError as error:
        raise Denied("this invitation has already been used", "ask your sysadmin for a new one") from error
    except OSError as error:
        raise CannotCreate("the key could not be stored", error.strerror) from error


def pending(directory: str) -> tuple[PendingKey, ...]:
    """The keys that wait for approval, oldest first. Files that are not valid are left out; they grant nothing."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return ()
    found = (_read(os.path.join(directory, name)) for name in names if name.startswith("k-"))
    return tuple(sorted((key for key in found if key), key=lambda key: (key.time, key.invite)))


def discard(directory: str, invite: str) -> None:
    """Remove the key that came with the invitation `invite` (its fingerprint), if there is one."""
    if os.path.lexists(_path(directory, invite)):
        os.unlink(_path(directory, invite))


def _path(directory: str, invite: str) -> str:
    return os.path.join(directory, Principal.of_fingerprint(invite).directory)


def _read(path: str) -> PendingKey | None:
    try:
        key = PendingKey(**json.loads(files.read(path, MAX_BYTES)))
        printable = all(isinstance(value, str) and value.isprintable() for value in key.as_dict().values())
        name_matches = _path(os.path.dirname(path), key.invite) == path
    except (OSError, ValueError, TypeError, RecursionError, Usage):
        return None
    return key if printable and name_matches and authorized_keys.is_key(key.key_type, key.blob) else None
