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


def is_answering(store: Store, master: int) -> bool:
    """Whether the ssh with pid `master` answers. Waits forever if it hangs, so call this in a child process."""
    expected = _message(_HELLO, _VERSION) + _message(_ALIVE, 0, master)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(store.socket)
            sock.sendall(_message(_HELLO, _VERSION) + _message(_CHECK, 0))
            return sock.recv(len(expected), socket.MSG_WAITALL) == expected
    except OSError:
        return False


def _message(*numbers: int) -> bytes:
    """The length in bytes, then the numbers: type first."""
    return struct.pack(f">{len(numbers) + 1}I", 4 * len(numbers), *numbers)
