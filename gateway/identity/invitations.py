"""Invitations: a one-time key that may hand in one other key, and what a sysadmin makes of that (docs/protocol.md).

An invitation is a line of authorized_keys, made here, whose private key exists in the printed code alone. The line is
what `approve` trusts: it names the principal, and the new key's line takes its place in one rename.
"""

from __future__ import annotations

import base64
import os
import tempfile
import zlib
from pathlib import Path

from gateway.base import process
from gateway.base.records import Record
from gateway.errors import Internal, NoSuchKey, Usage
from gateway.identity import authorized_keys, keyfile
from gateway.identity.authorized_keys import INVITES, Entry, Option
from gateway.identity.enrolment import HandedIn
from gateway.identity.names import Principal

PREFIX = "enc1-"
SSH_KEYGEN = "/usr/bin/ssh-keygen"
_MAGIC = b"openssh-key-v1\0"
_HOST_KEY_TYPE = b"ssh-ed25519"


class Secret(Record):
    """A new key pair: `private` as OpenSSH keeps it in a file, `seed` and `public` its 32 bytes each."""

    private: str
    blob: str
    seed: bytes
    public: bytes


def options(principal: str, expires: str, origin: str) -> tuple[Option, ...]:
    """The options of a line; "" leaves one out."""
    named = {"environment": f"ENC_USER={principal}" if principal else "", "from": origin, "expiry-time": expires}
    values = (Option(name=name, value=value) for name, value in named.items() if value)
    return (Option(name="restrict"), Option(name="pty"), *values)


def make_key() -> Secret:
    """A new Ed25519 key. ssh-keygen writes files alone, so it passes through one in memory (tmpfs, 0700)."""
    process.require(SSH_KEYGEN, "openssh-client")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        path = os.path.join(name, "key")
        status, _ = process.run([SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", "enc-invitation", "-f", path])
        if status:
            raise Internal(f"ssh-keygen ended with {status}")
        private = Path(path).read_text(encoding="ascii")
        blob = Path(path + ".pub").read_text(encoding="ascii").split()[1]
    seed, public = _parts(private)
    return Secret(private=private, blob=blob, seed=seed, public=public)


def _parts(private: str) -> tuple[bytes, bytes]:
    """Seed and public key of an unencrypted Ed25519 key (OpenSSH, PROTOCOL.key)."""
    raw = base64.b64decode("".join(private.split("\n")[1:-2]))
    fields, rest = [], raw.removeprefix(_MAGIC)
    for _ in range(3):  # cipher, key derivation, its options: none, none, nothing
        field, rest = _string(rest)
        fields.append(field)
    if raw == rest or fields != [b"none", b"none", b""]:
        raise Internal("ssh-keygen wrote a key that cannot be read")
    _, rest = _string(rest[4:])  # behind the number of keys, the public one
    rest = _string(rest)[0][8:]  # behind the two check numbers
    _, rest = _string(rest)
    public, rest = _string(rest)
    return _string(rest)[0][:32], public


def _string(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]


def code(secret: Secret, host_key: Path | None) -> str:
    """The text that is given to somebody: seed, public key, the gateway's host key (or zeros), CRC-32, in base64url."""
    payload = secret.seed + secret.public + (_host_key(host_key) if host_key else bytes(32))
    payload += zlib.crc32(payload).to_bytes(4, "big")
    return PREFIX + base64.urlsafe_b64encode(payload).decode().rstrip("=")


def _host_key(path: Path) -> bytes:
    words = path.read_text(encoding="ascii", errors="replace").split()
    if len(words) < 2 or not authorized_keys.is_key(words[0], words[1]) or words[0] != _HOST_KEY_TYPE.decode():
        raise Usage(f"{path} is no Ed25519 host key", "name the .pub file of one, or leave it out")
    return base64.b64decode(words[1])[-32:]


def line(principal: Principal, secret: Secret, expires: str) -> str:
    """The line of authorized_keys that makes the key an invitation."""
    named = (
        Option(name="expiry-time", value=expires),
        Option(name="environment", value=f"ENC_USER={INVITES}{principal}"),
    )
    label = f"invitation of {principal}"
    return authorized_keys.dump((Option(name="restrict"), *named), authorized_keys.KEY_TYPES[0], secret.blob, label)


def invitation(entries: tuple[Entry, ...], key: HandedIn) -> Entry | None:
    """The line of the invitation by which `key` came, if it is still there."""
    mine = (entry for entry in entries if entry.invites and not entry.problem)
    return next((entry for entry in mine if authorized_keys.fingerprint(entry.blob) == key.invite), None)


def accept(lines: list[str], key: HandedIn, expires: str, origin: str) -> Entry:
    """Put the line of `key` in the place of its invitation's; the line that it is now.

    Raises NoSuchKey when the invitation is gone, Usage when the key is listed already.
    """
    listed = keyfile.entries(lines)
    invited = invitation(listed, key)
    if invited is None or not Principal.accepts(invited.invites):
        raise NoSuchKey("the invitation by which that key came is not in authorized_keys any more")
    refuse_if_listed(listed, key.blob)
    chosen = options(invited.invites, expires, origin)
    lines[invited.line - 1] = authorized_keys.dump(chosen, key.key_type, key.blob, key.label)
    return invited.replace(blob=key.blob)


def refuse_if_listed(listed: tuple[Entry, ...], blob: str) -> None:
    """Raise Usage when a line has the key: one key has one principal."""
    for entry in listed:
        if entry.blob == blob:
            whose = entry.principal or "the principal of its own fingerprint"
            raise Usage(f"that key is in line {entry.line} already, as {whose}", "`enc-gateway key revoke` removes it")
