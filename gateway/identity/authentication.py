"""Who is calling: the key that sshd authenticated, its principal, and where the connection comes from.

Everything here comes from sshd: SSH_USER_AUTH (ExposeAuthInfo) names a file with the key, SSH_CONNECTION the two
ends, and ENC_USER is set by the key's own line. A client can set none of them (AcceptEnv nothing).
"""

from __future__ import annotations

import time

from gateway.base.records import Record
from gateway.errors import Misconfigured, NotYours
from gateway.identity import authorized_keys
from gateway.identity.authorized_keys import INVITES
from gateway.identity.names import Principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Caller(Record):
    """Which key called, from where, and whom its line names."""

    principal: Principal
    fingerprint: str
    key_type: str
    blob: str
    address: str
    port: int


class Identity(Caller):
    """`connection` is SSH_CONNECTION as it stands: the same for all channels of one connection."""

    connection: str

    def as_fields(self) -> dict[str, object]:
        """What the audit says about a caller."""
        return {
            "principal": self.principal,
            "fingerprint": self.fingerprint,
            "key_type": self.key_type,
            "address": self.address,
            "port": self.port,
        }


class Invitation(Caller):
    """The caller has the key of an invitation, which may do one thing: hand in a key for `principal`.

    Not an Identity, so nothing that works for a principal can be done with it.
    """

    def as_fields(self) -> dict[str, object]:
        """What the audit says about a caller. `invite` and not `fingerprint`: it is nobody's key."""
        return {"principal": self.principal, "invite": self.fingerprint, "address": self.address, "port": self.port}


def of_entry(entry: authorized_keys.Entry) -> Identity | Invitation:
    """Who would call with the key of this line, from nowhere in particular. Raises Misconfigured."""
    return _caller(entry.principal, entry.key_type, entry.blob, ["", "0"])


def of_environment(environ: Mapping[str, str]) -> Identity | Invitation:
    """The caller, from the environment that sshd made. Raises Misconfigured when sshd is not set up as it has to be."""
    key_type, blob = _authenticated_key(environ.get("SSH_USER_AUTH", ""))
    connection = environ.get("SSH_CONNECTION", "").split()
    if len(connection) != 4 or not connection[1].isdecimal():
        raise Misconfigured("sshd did not say where this connection comes from")
    return _caller(environ.get("ENC_USER", ""), key_type, blob, connection)


def _caller(named: str, key_type: str, blob: str, connection: list[str]) -> Identity | Invitation:
    principal = _principal(named.removeprefix(INVITES), blob)
    print_ = authorized_keys.fingerprint(blob)
    address, port = connection[0], int(connection[1])
    if named.startswith(INVITES):
        return Invitation(
            principal=principal, fingerprint=print_, key_type=key_type, blob=blob, address=address, port=port
        )
    return Identity(
        principal=principal,
        fingerprint=print_,
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
        raise Misconfigured("sshd did not say which key was used in a way that we can read") from error


def _authenticated_key(path: str) -> tuple[str, str]:
    """Type and blob from the file that ExposeAuthInfo makes: a line for each method, `publickey TYPE BLOB`."""
    try:
        with open(path, encoding="ascii") as file:
            methods = [line.split() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured("sshd did not say which key was used", "set ExposeAuthInfo yes") from error
    keys = [words for words in methods if len(words) == 3 and words[0] == "publickey"]
    if len(keys) != 1:
        raise Misconfigured("sshd did not authenticate this connection by one public key")
    return keys[0][1], keys[0][2]


def still_listed(caller: Identity, entries: tuple[authorized_keys.Entry, ...]) -> authorized_keys.Entry:
    """The caller's line. Raises NotYours when it is gone, expired, or names another principal now.

    sshd asked when the connection was made; a connection can outlive the line.
    """
    return _line(caller.blob, caller.principal, entries)


def still_invited(caller: Invitation, entries: tuple[authorized_keys.Entry, ...]) -> authorized_keys.Entry:
    """The invitation's line. Raises NotYours as `still_listed` does."""
    return _line(caller.blob, INVITES + caller.principal, entries)


def _line(blob: str, principal: str, entries: tuple[authorized_keys.Entry, ...]) -> authorized_keys.Entry:
    mine = [entry for entry in entries if authorized_keys.means(entry, blob, principal)]
    now = time.time()
    for entry in mine:
        if now <= entry.expires:
            return entry
    if mine:
        raise NotYours("this key has expired", "ask your sysadmin for a new expiry date, or a new invitation")
    raise NotYours("this key is no longer authorized as it was when you connected", "connect again")
