"""Saying no in SFTP (draft-ietf-secsh-filexfer-02), to a client that would otherwise see a closed connection.

sshd drops the standard error of a subsystem, so our line cannot reach the person there. What can is the message of
an SSH_FXP_STATUS: every request gets one. OpenSSH's sftp shows it for the first thing that it asks, where it is.
"""

from __future__ import annotations

import os
import select
import struct

_VERSION, _STATUS = 2, 101
_FAILURE = 4
_MOST = 64
"""Requests that are answered: a client that goes on after so many refusals is no help to anybody."""
_LONGEST = 256 * 1024
_PATIENCE_MS = 10_000


def refuse(message: str) -> None:
    """Answer requests on standard input and output with `message`, until the client has seen enough or is silent."""
    text = message.encode()
    if _packet() is None:  # SSH_FXP_INIT
        return
    _answer(struct.pack(">BI", _VERSION, 3))
    for _ in range(_MOST):
        request = _packet()
        if request is None or len(request) < 5:
            return
        id_ = request[1:5]
        _answer(struct.pack(">B4sII", _STATUS, id_, _FAILURE, len(text)) + text + struct.pack(">I", 0))


def _packet() -> bytes | None:
    head = _read(4)
    length = int.from_bytes(head, "big")
    if len(head) < 4 or not 0 < length <= _LONGEST:
        return None
    body = _read(length)
    return body if len(body) == length else None


def _read(count: int) -> bytes:
    """`count` bytes, or fewer when the client has ended or says nothing more."""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    read = b""
    while len(read) < count and waiting.poll(_PATIENCE_MS):
        chunk = os.read(0, count - len(read))
        if not chunk:
            break
        read += chunk
    return read


def _answer(body: bytes) -> None:
    try:
        os.write(1, struct.pack(">I", len(body)) + body)
    except BrokenPipeError:
        return
