"""Invitations: make a one-time key that can hand in one other key, and approve that key (docs/protocol.md).

An invitation is a line of authorized_keys. Its private key exists only in the code that is printed. `approve` trusts
the line: the line names the principal, and the new key's line replaces it in one rename.
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
from gateway.identity.authorized_keys import INVITATION_PREFIX, Entry, Option
from gateway.identity.enrolment import PendingKey
from gateway.identity.names import Principal

PREFIX = "enc1-"
SSH_KEYGEN = "/usr/bin/ssh-keygen"
_MAGIC = b"openssh-key-v1\0"
_HOST_KEY_TYPE = b"ssh-ed25519"


class KeyPair(Record):
    """A new Ed25519 key. `private` is in OpenSSH's file format, `blob` is the public key in base64; `seed` and `public`
    are the 32 bytes of each.
    """

    private: str
    blob: str
    seed: bytes
    public: bytes


def key_options(principal: str, expires: str, origin: str) -> tuple[Option, ...]:
    """The options of a key's line; an argument that is "" is left out."""
    given = {"environment": f"ENC_USER={principal}" if principal else "", "from": origin, "expiry-time": expires}
    values = (Option(name=name, value=value) for name, value in given.items() if value)
    return (Option(name="restrict"), Option(name="pty"), *values)


def generate_key() -> KeyPair:
    """Generate an Ed25519 key. ssh-keygen can only write to a file; the file is in memory (tmpfs, directory 0700).

    Raises Misconfigured, Internal.
    """
    process.require(SSH_KEYGEN, "openssh-client")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        path = os.path.join(name, "key")
        status, _ = process.run([SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", "enc-invitation", "-f", path])
        if status:
            raise Internal(f"ssh-keygen ended with {status}")
        private = Path(path).read_text(encoding="ascii")
        blob = Path(path + ".pub").read_text(encoding="ascii").split()[1]
    seed, public = _parts(private)
    return KeyPair(private=private, blob=blob, seed=seed, public=public)


def _parts(private: str) -> tuple[bytes, bytes]:
    """Seed and public key of an unencrypted Ed25519 key (OpenSSH, PROTOCOL.key)."""
    raw = base64.b64decode("".join(private.split("\n")[1:-2]))
    fields, rest = [], raw.removeprefix(_MAGIC)
    for _ in range(3):  # cipher "none", key derivation "none", its options ""
        field, rest = _string(rest)
        fields.append(field)
    if raw == rest or fields != [b"none", b"none", b""]:
        raise Internal("ssh-keygen wrote a key that the gateway cannot read")
    _, rest = _string(rest[4:])  # the public key, after the number of keys
    rest = _string(rest)[0][8:]  # the private section, after its two check numbers
    _, rest = _string(rest)
    public, rest = _string(rest)
    return _string(rest)[0][:32], public


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The string (RFC 4251, 5) at the start of `data`, and the bytes after it."""
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]


def encode(key: KeyPair, host_key: Path | None) -> str:
    """The invitation's code: seed, public key, the gateway's host key (or zeros) and CRC-32, in base64url.

    Raises Usage if the file `host_key` is not an Ed25519 public key.
    """
    payload = key.seed + key.public + (_host_key(host_key) if host_key else bytes(32))
    payload += zlib.crc32(payload).to_bytes(4, "big")
    return PREFIX + base64.urlsafe_b64encode(payload).decode().rstrip("=")


def _host_key(path: Path) -> bytes:
    words = path.read_text(encoding="ascii", errors="replace").split()
    if len(words) < 2 or not authorized_keys.is_key(words[0], words[1]) or words[0] != _HOST_KEY_TYPE.decode():
        raise Usage(
            f"{path} is not an Ed25519 public key", "name the .pub file of the Ed25519 host key, or leave it out"
        )
    return base64.b64decode(words[1])[-32:]


def authorized_keys_line(principal: Principal, key: KeyPair, expires: str) -> str:
    """The line of authorized_keys that makes `key` an invitation of `principal`."""
    options = (
        Option(name="restrict"),
        Option(name="expiry-time", value=expires),
        Option(name="environment", value=f"ENC_USER={INVITATION_PREFIX}{principal}"),
    )
    return authorized_keys.dump(options, authorized_keys.KEY_TYPES[0], key.blob, f"invitation of {principal}")


def find(entries: tuple[Entry, ...], key: PendingKey) -> Entry | None:
    """The line of the invitation with which `key` was handed in; None if it is no longer there."""
    invitations = (entry for entry in entries if entry.invitation_for and not entry.problem)
    return next((entry for entry in invitations if authorized_keys.fingerprint(entry.blob) == key.invite), None)


def approve(lines: list[str], key: PendingKey, expires: str, origin: str) -> Entry:
    """Replace the invitation's line by the line of `key`. Returns the invitation's entry with the new blob.

    Raises NoSuchKey if the invitation is no longer there, Usage if the key is already listed.
    """
    listed = keyfile.entries(lines)
    invitation = find(listed, key)
    if invitation is None or not Principal.accepts(invitation.invitation_for):
        raise NoSuchKey("the invitation of that key is no longer in authorized_keys")
    require_unlisted(listed, key.blob)
    options = key_options(invitation.invitation_for, expires, origin)
    lines[invitation.line - 1] = authorized_keys.dump(options, key.key_type, key.blob, key.label)
    return invitation.replace(blob=key.blob)


def require_unlisted(listed: tuple[Entry, ...], blob: str) -> None:
    """Raise Usage if a line already has the key: a key has one principal."""
    for entry in listed:
        if entry.blob == blob:
            whose = f"as {entry.principal}" if entry.principal else "without a principal's name"
            raise Usage(f"that key is already in line {entry.line}, {whose}", "`enc-gateway key revoke` removes it")
