"""The unix socket between a front and a warden: connect, listen, send and receive messages with descriptors."""

from __future__ import annotations

import errno
import os
import socket
import time

from gateway.base import process
from gateway.session import protocol
from gateway.session.protocol import Malformed, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 64 * 1024
LARGEST_IN_MEMORY = 1 << 20
"""Bytes of a packet that is passed as sealed memory: the words of a program, of which JSON makes up to 6 bytes each."""
_INLINE = 32 * 1024
_IN_MEMORY = b"@"
"""The packet that stands for the one in the last descriptor. It is no JSON object."""
MOST_FDS = 16
"""More than any message has."""

CONNECT_SECONDS = 10.0
"""For a place in the queue of a warden that has much to do."""
_RETRY_SECONDS = 0.05
_QUEUE = 512
"""Connections that a warden has not yet taken. Each waits in its front, so this is no memory of the warden's."""


def send(to: socket.socket, message: Message) -> None:
    """Send one message with its descriptors. Raises OSError when the other side is gone."""
    packet, fds = protocol.encode(message)
    if len(packet) <= _INLINE:
        socket.send_fds(to, [packet], fds)
        return
    memory = process.sealed_memory(packet)
    try:
        socket.send_fds(to, [_IN_MEMORY], [*fds, memory])
    finally:
        os.close(memory)


def receive(source: socket.socket) -> Message | None:
    """The next message, whose descriptors are the caller's, or None at the end. Raises Malformed, OSError; that also
    when we have no descriptor left for those that came with it.
    """
    packet, fds, flags, _ = socket.recv_fds(source, LARGEST, MOST_FDS)
    for fd in fds:  # recv_fds ignores MSG_CMSG_CLOEXEC, and a program that kept a turn would hold up the next attempt
        os.set_inheritable(fd, False)
    try:
        if flags & socket.MSG_CTRUNC and len(fds) < MOST_FDS:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Malformed("the packet is too large")
        if packet == _IN_MEMORY and fds:
            packet = _content(fds[-1])
            os.close(fds.pop())
        if packet:
            return protocol.decode(packet, fds)
    except (OSError, Malformed):
        _close(fds)
        raise
    _close(fds)
    return None


def _content(memory: int) -> bytes:
    """A large packet. Only sealed memory is read: another file could keep us waiting, or change. Raises Malformed."""
    try:
        size = process.sealed_size(memory)
    except OSError as error:
        raise Malformed("the packet is in no sealed memory") from error
    if size > LARGEST_IN_MEMORY:
        raise Malformed("the packet is too large")
    return os.pread(memory, size, 0)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def connect(directory: str, name: str, seconds: float = CONNECT_SECONDS) -> socket.socket:
    """Connect to the socket `name` in `directory`. Raises OSError; TimeoutError when nobody takes the connection within
    `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (link := try_connect(directory, name)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody takes the connection")
        time.sleep(_RETRY_SECONDS)
    return link


def try_connect(directory: str, name: str) -> socket.socket | None:
    """The same at once; None when the queue of whoever listens is full: connect(2) would wait for ever. `directory` is
    no link. Through a descriptor: sun_path holds 108 bytes.
    """
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            link.connect(f"/proc/self/fd/{fd}/{name}")
        except BlockingIOError:
            link.close()
            return None
        except OSError:
            link.close()
            raise
        link.setblocking(True)
        return link
    finally:
        os.close(fd)


def listen(path: str) -> socket.socket:
    """A listening socket at `path`, which only the gateway's account can reach."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        link.bind(path)
    finally:
        os.umask(before)
    link.listen(_QUEUE)
    return link
