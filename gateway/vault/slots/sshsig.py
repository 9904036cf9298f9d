"""SSH signatures (OpenSSH, PROTOCOL.sshsig): read strictly, and verified by the stock ssh-keygen."""

from __future__ import annotations

import binascii
import os

from gateway.base import process
from gateway.base.records import Record
from gateway.errors import Internal, Usage
from gateway.identity import authorized_keys

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
MAX_LINES = 80
"""Of an armoured signature: one of the largest RSA keys has 40."""
_MAGIC, _VERSION = b"SSHSIG", b"\0\0\0\1"
_ED25519 = b"ssh-ed25519"
_HASHES = (b"sha512", b"sha256")
_SSH_KEYGEN = "/usr/bin/ssh-keygen"
_OTHERS = "use an Ed25519 key (ssh-keygen -t ed25519), or a passphrase"


class Signature(Record):
    """`armoured` is the signature as it came; `public_key` the key's blob in base64, `raw` the 64 bytes of Ed25519."""

    armoured: bytes
    public_key: str
    namespace: str
    raw: bytes

    @property
    def fingerprint(self) -> str:
        return authorized_keys.fingerprint(self.public_key)


def parse(armoured: bytes) -> Signature:
    """Raises Usage for what is no signature, or one of a key that cannot unlock."""
    lines = [line.rstrip(b"\r") for line in armoured.rstrip(b"\r\n").split(b"\n")]
    if len(lines) < 3 or len(lines) > MAX_LINES or lines[0] != BEGIN or lines[-1] != END:
        raise _malformed()
    try:
        content = binascii.a2b_base64(b"".join(lines[1:-1]), strict_mode=True)
        if not content.startswith(_MAGIC + _VERSION):
            raise ValueError("no SSHSIG")
        key, namespace, reserved, hashed, signature = _strings(content.removeprefix(_MAGIC + _VERSION))
        key_fields, signature_fields = _strings(key), _strings(signature)
        kind = key_fields[0]
    except (ValueError, IndexError) as error:
        raise _malformed() from error
    require_deterministic(kind.decode("ascii", "replace"))
    fits = [len(field) for field in key_fields[1:]] == [32] and [len(field) for field in signature_fields[1:]] == [64]
    if not fits or signature_fields[0] != _ED25519 or reserved or hashed not in _HASHES:
        raise _malformed()
    return Signature(
        armoured=armoured,
        public_key=binascii.b2a_base64(key, newline=False).decode(),
        namespace=namespace.decode("ascii", "replace"),
        raw=signature_fields[1],
    )


def require_deterministic(key_type: str) -> None:
    """Raise Usage for a type of key that cannot unlock, with the reason."""
    if key_type == _ED25519.decode():
        return
    if key_type.startswith("sk-"):
        reason = "a security key counts its signatures, so that each is different"
    elif key_type.startswith("ecdsa-"):
        reason = "its signatures have a random part, so that each is different"
    elif key_type == "ssh-rsa":
        reason = "its signatures are made in more than one way"
    else:
        reason = "its type is not known here"
    raise Usage(f"that key cannot unlock a project: {reason}", _OTHERS)


def _malformed() -> Usage:
    return Usage("that is not an SSH signature", "`ssh-keygen -Y sign` prints one; pass it on as it is")


def _strings(data: bytes) -> list[bytes]:
    """The strings (RFC 4251, 5) that `data` consists of. Raises ValueError."""
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        if len(data) < end or len(data) < 4:
            raise ValueError("a string is cut off")
        found.append(data[4:end])
        data = data[end:]
    return found


def is_of(signature: Signature, message: bytes, namespace: str) -> bool:
    """Whether it is a valid signature of `message` in `namespace` by its own key. Raises Misconfigured, Internal."""
    process.require(_SSH_KEYGEN, "openssh-client")
    allowed = f'signer namespaces="{namespace}" {_ED25519.decode()} {signature.public_key}\n'
    passed: list[int] = []
    try:
        passed += [process.memory_file(content) for content in (allowed.encode(), signature.armoured, message)]
        signers, file = (f"/proc/self/fd/{fd}" for fd in passed[:2])
        argv = [_SSH_KEYGEN, "-Y", "verify", "-f", signers, "-I", "signer", "-n", namespace, "-s", file]
        status, _ = process.run(argv, passed[:2], stdin=passed[2])
    finally:
        for fd in passed:
            os.close(fd)
    if status > 128 and status != 255:
        raise Internal(f"ssh-keygen ended with {status}")
    return status == 0
