"""HKDF-SHA256 (RFC 5869), for one block of output. The standard library's `hmac` costs a forced command 3 ms."""

from __future__ import annotations

from gateway.base.sha256 import sha256

SIZE = 32
_BLOCK = 64


def hmac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104)."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    digest: bytes = sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
    return digest


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes: extract, and the first block of expand."""
    return hmac(hmac(salt or b"\0" * SIZE, secret), info + b"\x01")
