"""Files that were deleted while a program had them open: libfuse renames them, and removes them when they are closed.

An sshfs that is killed (`enc unmount --force`, a terminal that closed) cannot remove them, and they would stay in the
project for good. The kernel does not know the new names, but /proc shows in which directories a deleted file is open.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import time

from client.connection import ssh
from client.state.records import Mount
from client.state.store import Store
from client.system import children, linux

_NAME = ".fuse_hidden"
_INIT, _REMOVE, _VERSION = 1, 13, 3
"""Of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02)."""
_LENGTH = 4
"""Bytes of a packet's length, with which it begins."""
_MOST = 100
"""How many are removed: their requests fit into a pipe."""


def open_in(mount: Mount, seconds: float) -> list[str]:
    """The paths, from the top of the project, of such files beside a deleted one that a program of this user has open.

    Found within `seconds`, else none: the mount may not answer.
    """
    deleted = [path for path in linux.files_open_in(mount.directory) if path.endswith(linux.DELETED)]
    directories = sorted({os.path.dirname(path) for path in deleted})
    if not directories:
        return []
    argv = ["find", *directories, "-maxdepth", "1", "-name", f"{_NAME}*", "-type", "f", "-print0"]
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
        )
    except OSError:
        return []
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:  # not waited for: it may hang in the kernel
        child.kill()
        return []
    return [os.fsdecode(path).removeprefix(f"{mount.directory}/") for path in output.split(b"\0")[:_MOST] if path]


def remove(store: Store, project: str, paths: list[str], seconds: float) -> None:
    """Remove them on the gateway, over the connection, within `seconds`. What cannot be removed stays."""
    if not paths:
        return
    requests = _packet(struct.pack(">BI", _INIT, _VERSION))
    for number, path in enumerate(paths):
        name = os.fsencode(os.path.join(project, path))
        requests += _packet(struct.pack(">BII", _REMOVE, number, len(name)) + name)
    argv = [*ssh.shared(store), "-T", "-s", "--", "enc", "sftp"]
    try:
        with children.start(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as child:
            try:
                _exchange(child, requests, 1 + len(paths), time.monotonic() + seconds)
            finally:
                child.kill()
    except OSError:
        return


def _exchange(child: subprocess.Popen[bytes], requests: bytes, count: int, deadline: float) -> None:
    """Send the requests, and wait for `count` answers: at the end of its input the server would drop what is left."""
    assert child.stdin and child.stdout  # noqa: S101
    child.stdin.write(requests)
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN)
    answers = b""
    while count and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if not (chunk := os.read(child.stdout.fileno(), 65536)):
            return
        answers += chunk
        while len(answers) >= _LENGTH and len(answers) >= _LENGTH + int.from_bytes(answers[:_LENGTH], "big"):
            answers = answers[_LENGTH + int.from_bytes(answers[:_LENGTH], "big") :]
            count -= 1


def _packet(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH, "big") + content
