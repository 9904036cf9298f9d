"""The control socket of the connection: through it alone can anything more be asked of the gateway, such as to lock.

This asks what `ssh -O check` does (OpenSSH's PROTOCOL.mux), without starting a program every 3 s. None of it reaches
the network.
"""

from __future__ import annotations

import socket
import struct

from client.state.store import Store

_HELLO, _VERSION = 1, 4
_CHECK, _ALIVE = 0x10000004, 0x80000005


def answers(store: Store, master: int) -> bool:
    """Whether the ssh with pid `master` answers at the socket. Waits for as long as it does not: for a child to ask."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(store.socket)
            sock.sendall(_message(_HELLO, _VERSION) + _message(_CHECK, 0))
            said = sock.recv(len(_message(_HELLO, _VERSION) + _message(_ALIVE, 0, master)), socket.MSG_WAITALL)
    except OSError:
        return False
    return said == _message(_HELLO, _VERSION) + _message(_ALIVE, 0, master)


def _message(*numbers: int) -> bytes:
    """Its length, its type, and what it says."""
    return struct.pack(f">{len(numbers) + 1}I", 4 * len(numbers), *numbers)
