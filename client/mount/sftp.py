"""As much of SFTP as it takes to find and remove files on the gateway, over the connection.

It is that of draft-ietf-secsh-filexfer-02.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import struct
import subprocess
import time
from collections.abc import Iterator

from client.connection import ssh
from client.state.store import Store
from client.system import children

_INIT, _CLOSE, _OPENDIR, _READDIR, _REMOVE, _STAT = 1, 4, 11, 12, 13, 17
_STATUS, _HANDLE, _NAMES, _ATTRIBUTES = 101, 102, 104, 105
_NO_SUCH_FILE = 2
_VERSION = 3
_LENGTH = 4
"""Bytes of a packet's length, with which it begins."""
_LARGEST = 1 << 20


@contextlib.contextmanager
def connected(store: Store, project: str, seconds: float) -> Iterator[Sftp]:
    """A client for what is in `project`, for `seconds`. Raises OSError."""
    argv = [*ssh.shared(store), "-T", "--", "enc", *ssh.command_line(["sftp", project])]
    with children.start(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as child:
        try:
            client = Sftp(child, time.monotonic() + seconds)
            client.begin()
            yield client
        finally:
            child.kill()


class Sftp:
    """One question at a time. Raises OSError when no answer came in time, and for one that is none."""

    def __init__(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        self._child = child
        self._deadline = deadline
        self._received = b""

    def begin(self) -> None:
        self._exchange(struct.pack(">BI", _INIT, _VERSION))

    def remove(self, path: str) -> None:
        """Remove the file. If that is not possible, it stays."""
        self._ask(_REMOVE, os.fsencode(path))

    def is_directory(self, path: str) -> bool | None:
        """Whether the file at `path`, behind links, is a directory; None if there is none. Raises OSError where the
        gateway does not say.
        """
        kind, body = self._ask(_STAT, os.fsencode(path))
        flags = int.from_bytes(body[:4], "big")
        if kind == _STATUS and flags == _NO_SUCH_FILE:  # the code of a status stands there
            return None
        at = 4 + sum(size for bit, size in ((1, 8), (2, 8)) if flags & bit)
        if kind != _ATTRIBUTES or not flags & 4 or len(body) < at + 4:
            raise OSError("the gateway does not say what it is")
        return stat.S_ISDIR(int.from_bytes(body[at : at + 4], "big"))

    def names(self, directory: str) -> list[str]:
        """What is in the directory; nothing if there is none."""
        kind, handle = self._ask(_OPENDIR, os.fsencode(directory))
        if kind != _HANDLE:
            return []
        handle = _string(handle, 0)[0]
        found = []
        while True:
            kind, body = self._ask(_READDIR, handle)
            if kind != _NAMES:
                break
            found += _names(body)
        self._ask(_CLOSE, handle)
        return found

    def _ask(self, kind: int, word: bytes) -> tuple[int, bytes]:
        """The kind of the answer, and what it has behind the id."""
        answer = self._exchange(struct.pack(">BII", kind, 0, len(word)) + word)
        return answer[0], answer[5:]

    def _exchange(self, packet: bytes) -> bytes:
        assert self._child.stdin and self._child.stdout  # noqa: S101
        self._child.stdin.write(len(packet).to_bytes(_LENGTH, "big") + packet)
        poll = select.poll()
        poll.register(self._child.stdout, select.POLLIN)
        while (end := self._end()) == _LENGTH or len(self._received) < end:
            left = max(0.0, self._deadline - time.monotonic()) * 1000
            if end > _LARGEST or not poll.poll(left):
                raise OSError("no answer from the gateway")
            if not (chunk := os.read(self._child.stdout.fileno(), 65536)):
                raise OSError("the gateway has closed the channel")
            self._received += chunk
        answer, self._received = self._received[_LENGTH:end], self._received[end:]
        return answer

    def _end(self) -> int:
        """Where the first packet ends in what was received."""
        return _LENGTH + int.from_bytes(self._received[:_LENGTH], "big")


def _names(body: bytes) -> list[str]:
    """The names in a listing. Raises OSError for what is none."""
    found = []
    count, at = int.from_bytes(body[:4], "big"), 4
    for _ in range(count):
        name, at = _string(body, at)
        _, at = _string(body, at)  # as `ls -l` has it
        flags, at = int.from_bytes(body[at : at + 4], "big"), at + 4
        at += sum(size for bit, size in ((1, 8), (2, 8), (4, 4), (8, 8)) if flags & bit)
        found.append(os.fsdecode(name))
    return found


def _string(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + int.from_bytes(body[at : at + 4], "big")
    if at + 4 > len(body) or end > len(body):
        raise OSError("the gateway's answer is no SFTP")
    return body[at + 4 : end], end
