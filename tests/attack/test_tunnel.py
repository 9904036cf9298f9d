"""`ssh -w`: a tunnel device on the gateway's host. The client makes its end first, here in a network of its own."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, need, need_root, run

SHUTTLE = """
import os, select, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
while True:
    for fd in select.select([0, link], [], [])[0]:
        data = os.read(fd if fd == 0 else link.fileno(), 65536)
        if not data:
            sys.exit()
        os.write(link.fileno() if fd == 0 else 1, data)
"""


@pytest.fixture
def door(gateway: Gateway, tmp_path: Path) -> Iterator[Path]:
    """A unix socket, which a network namespace does not hide, that leads to the gateway's port."""
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(target=_serve, args=(listening, int(str(gateway.ready["port"]))), daemon=True).start()
        yield path


def _serve(listening: socket.socket, port: int) -> None:
    near, _ = listening.accept()
    far = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=_pass, args=(far, near), daemon=True).start()
    _pass(near, far)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        return
    finally:
        sink.close()


def test_a_tunnel_is_refused(person: Person, door: Path) -> None:
    need_root()
    shuttle = shlex.join([sys.executable, "-c", SHUTTLE, str(door)])
    flags = ("-o", f"ProxyCommand={shuttle}", "-o", "ExitOnForwardFailure=yes", "-N", "-w", "any:any")
    result = run(["unshare", "--net", *person.argv(extra=flags)])
    need("Tunnel device open failed" not in result.err, "tunnel devices")
    assert result.status == 255
    assert "Tunnel forwarding failed" in result.err, result
