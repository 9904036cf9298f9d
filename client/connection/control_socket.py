"""ssh's control socket: without an answer there, the gateway cannot be told to lock anything.

This sends what `ssh -O check` sends (OpenSSH's PROTOCOL.mux) without starting a program every 3 s. It stays on this
machine: nothing is sent over the network.
"""

from __future__ import annotations

import socket
import struct

from client.state.store import Store

_HELLO, _VERSION = 1, 4
_CHECK, _ALIVE = 0x10000004, 0x80000005
_PID = 4
"""Bytes of the pid, with which the answer ends."""


def is_answering(store: Store, master: int) -> bool:
    """Whether the ssh with pid `master` answers. Waits forever if it hangs, so call this in a child process."""
    return master_pid(store, None) == master


def master_pid(store: Store, seconds: float | None) -> int | None:
    """The pid of the ssh that holds the connection; None if none answers within `seconds`."""
    expected = _message(_HELLO, _VERSION) + _message(_ALIVE, 0, 0)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(seconds)
            sock.connect(store.socket)
            sock.sendall(_message(_HELLO, _VERSION) + _message(_CHECK, 0))
            answer = b""
            while len(answer) < len(expected) and (chunk := sock.recv(len(expected) - len(answer))):
                answer += chunk
    except OSError:
        return None
    if len(answer) < len(expected) or answer[:-_PID] != expected[:-_PID]:
        return None
    return int.from_bytes(answer[-_PID:], "big")


def _message(*numbers: int) -> bytes:
    """The length in bytes, then the numbers: type first."""
    return struct.pack(f">{len(numbers) + 1}I", 4 * len(numbers), *numbers)
