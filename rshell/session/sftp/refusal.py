"""Refuse a client in SFTP (draft-ietf-secsh-filexfer-02). Without this, it would only see a closed connection.

sshd discards the standard error of a subsystem, so an error line cannot reach the person. The message of an
SSH_FXP_STATUS can: every request gets one. OpenSSH's sftp shows that of its first request, which asks for the current
directory.
"""

from __future__ import annotations

import os
import select
import struct

_VERSION, _STATUS = 2, 101
_FAILURE = 4
_MAX_REQUESTS = 64
"""Requests that are answered. A client that sends more gets a closed connection."""
_MAX_PACKET = 256 * 1024
_READ_TIMEOUT_MS = 10_000


def refuse(message: str) -> None:
    """Answer SFTP requests on standard input with `message`, until the client ends, is silent, or has sent too many."""
    text = message.encode()
    if _read_packet() is None:  # SSH_FXP_INIT
        return
    _send(struct.pack(">BI", _VERSION, 3))
    for _ in range(_MAX_REQUESTS):
        request = _read_packet()
        if request is None or len(request) < 5:
            return
        id_ = request[1:5]
        _send(struct.pack(">B4sII", _STATUS, id_, _FAILURE, len(text)) + text + struct.pack(">I", 0))


def _read_packet() -> bytes | None:
    """The body of the next packet; None at the end of input, and for a length that is not allowed."""
    head = _read(4)
    length = int.from_bytes(head, "big")
    if len(head) < 4 or not 0 < length <= _MAX_PACKET:
        return None
    body = _read(length)
    return body if len(body) == length else None


def _read(count: int) -> bytes:
    """`count` bytes, or fewer if the client ends or is silent."""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    read = b""
    while len(read) < count and waiting.poll(_READ_TIMEOUT_MS):
        chunk = os.read(0, count - len(read))
        if not chunk:
            break
        read += chunk
    return read


def _send(body: bytes) -> None:
    try:
        os.write(1, struct.pack(">I", len(body)) + body)
    except BrokenPipeError:
        return
