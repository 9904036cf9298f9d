"""Identify the caller: the key that sshd authenticated, its principal, and the address of the connection.

All of it comes from sshd. SSH_USER_AUTH (ExposeAuthInfo) names a file with the key, SSH_CONNECTION has both addresses,
and the key's line in authorized_keys sets ENC_USER. A client can set none of these (sshd accepts no AcceptEnv).
"""

from __future__ import annotations

import time

from gateway.base.records import Record
from gateway.errors import Denied, Misconfigured
from gateway.identity import authorized_keys
from gateway.identity.authorized_keys import INVITATION_PREFIX
from gateway.identity.names import Principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Caller(Record):
    """The caller's key and address, and the principal that the key's line names."""

    principal: Principal
    fingerprint: str
    key_type: str
    blob: str
    address: str
    port: int

    @property
    def listed_principal(self) -> str:
        """The principal that the caller's line must have."""
        return self.principal


class Identity(Caller):
    """A caller who may act as `principal`. `connection` is SSH_CONNECTION, the same for all its channels."""

    connection: str

    def as_fields(self) -> dict[str, object]:
        """The audit fields of the caller."""
        return {
            "principal": self.principal,
            "fingerprint": self.fingerprint,
            "key_type": self.key_type,
            "address": self.address,
            "port": self.port,
        }


class Invitation(Caller):
    """A caller with the key of an invitation, which can only hand in a key for `principal`.

    It is not an Identity, so no function that needs an Identity accepts it.
    """

    @property
    def listed_principal(self) -> str:
        """The principal that the caller's line must have."""
        return INVITATION_PREFIX + self.principal

    def as_fields(self) -> dict[str, object]:
        """The audit fields of the caller. The field is `invite`, not `fingerprint`: the key belongs to nobody."""
        return {"principal": self.principal, "invite": self.fingerprint, "address": self.address, "port": self.port}


def of_entry(entry: authorized_keys.Entry) -> Identity | Invitation:
    """The caller that the key of this line would make, with an empty address. Raises Misconfigured."""
    return _caller(entry.principal, entry.key_type, entry.blob, ["", "0"])


def of_environment(environ: Mapping[str, str]) -> Identity | Invitation:
    """The caller, from the environment that sshd set. Raises Misconfigured if sshd is not set up for the gateway."""
    key_type, blob = _authenticated_key(environ.get("SSH_USER_AUTH", ""))
    connection = environ.get("SSH_CONNECTION", "").split()
    if len(connection) != 4 or not connection[1].isdecimal():
        raise Misconfigured("sshd did not report the address of this connection")
    return _caller(environ.get("ENC_USER", ""), key_type, blob, connection)


def _caller(named: str, key_type: str, blob: str, connection: list[str]) -> Identity | Invitation:
    principal = _principal(named.removeprefix(INVITATION_PREFIX), blob)
    fingerprint = authorized_keys.fingerprint(blob)
    address, port = connection[0], int(connection[1])
    if named.startswith(INVITATION_PREFIX):
        return Invitation(
            principal=principal, fingerprint=fingerprint, key_type=key_type, blob=blob, address=address, port=port
        )
    return Identity(
        principal=principal,
        fingerprint=fingerprint,
        key_type=key_type,
        blob=blob,
        address=address,
        port=port,
        connection=" ".join(connection),
    )


def _principal(named: str, blob: str) -> Principal:
    if named and not Principal.accepts(named):
        raise Misconfigured("ENC_USER of this key's line in authorized_keys is not valid", f"use {Principal.rule}")
    try:
        return Principal(named) if named else Principal.of_fingerprint(authorized_keys.fingerprint(blob))
    except ValueError as error:
        raise Misconfigured("sshd did not report the key in a form that the gateway can read") from error


def _authenticated_key(path: str) -> tuple[str, str]:
    """Type and blob of the key, from the file of ExposeAuthInfo: a line for each method, `publickey TYPE BLOB`.

    Raises Misconfigured unless exactly one public key was used.
    """
    try:
        with open(path, encoding="ascii") as file:
            methods = [line.split() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured("sshd did not report which key was used", "set ExposeAuthInfo yes") from error
    keys = [words for words in methods if len(words) == 3 and words[0] == "publickey"]
    if len(keys) != 1:
        raise Misconfigured("sshd did not authenticate this connection with exactly one public key")
    return keys[0][1], keys[0][2]


def require_listed(caller: Caller, entries: tuple[authorized_keys.Entry, ...]) -> authorized_keys.Entry:
    """The caller's line among `entries` of authorized_keys. Raises Denied if it is gone, has expired, or names another
    principal.

    sshd checks the line only when the connection is made, and a connection can outlive the line.
    """
    lines = [entry for entry in entries if authorized_keys.authorizes(entry, caller.blob, caller.listed_principal)]
    now = time.time()
    for entry in lines:
        if not entry.has_expired(now):
            return entry
    if lines:
        raise Denied("this key has expired", "ask your sysadmin for a new expiry date, or a new invitation")
    raise Denied("this key is no longer authorized as it was when you connected", "connect again")
