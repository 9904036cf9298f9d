"""The unix socket between a front and a warden: connect, listen, send and receive messages with descriptors."""

from __future__ import annotations

import os
import socket

from gateway.session import protocol
from gateway.session.protocol import Malformed, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 64 * 1024
MOST_FDS = 16
"""More than any message has."""


def send(to: socket.socket, message: Message) -> None:
    """Send one message with its descriptors. Raises OSError when the other side is gone."""
    packet, fds = protocol.encode(message)
    socket.send_fds(to, [packet], fds)


def receive(source: socket.socket) -> Message | None:
    """The next message, whose descriptors are the caller's, or None at the end. Raises Malformed, OSError."""
    packet, fds, flags, _ = socket.recv_fds(source, LARGEST, MOST_FDS)
    for fd in fds:  # recv_fds ignores MSG_CMSG_CLOEXEC, and a program that kept a turn would hold up the next attempt
        os.set_inheritable(fd, False)
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Malformed("the packet is too large")
        if packet:
            return protocol.decode(packet, fds)
    except Malformed:
        _close(fds)
        raise
    _close(fds)
    return None


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def connect(directory: str, name: str, wait: bool = True) -> socket.socket:
    """Connect to the socket `name` in `directory`, which is no link. Without `wait`, raises BlockingIOError when
    connections queue up there, and the socket does not block. Raises OSError.

    Through a descriptor, because sun_path holds 108 bytes.
    """
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        link.setblocking(wait)
        link.connect(f"/proc/self/fd/{fd}/{name}")
    except OSError:
        link.close()
        raise
    finally:
        os.close(fd)
    return link


def listen(path: str) -> socket.socket:
    """A listening socket at `path`, which only the gateway's account can reach."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        link.bind(path)
    finally:
        os.umask(before)
    link.listen(16)
    return link
