"""The siege from a workspace: what its user tries through the inner sshd, with stock ssh.

Each case of cases.tsv has ssh's flags, and after `--` the command. Beside its exit status and words (test_siege.py):
nothing listens on this machine or is reached from it, and nothing of the host or of another's workspace is shown.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attack.field import CANARY, Field, laid
from tests.attack.test_siege import Case, by, hold
from tests.harness import Gateway, Result, eventually, run
from tests.workspaces import Workspace, workspace

SERVER = "import socket; s = socket.create_server(('127.0.0.1', {port}))\nwhile True: s.accept()[0].sendall(b'{said}')"
THEIR_PORT = 18765


@dataclass(frozen=True)
class Inside:
    """The attacker's workspace. `names` are what {names} of the cases mean."""

    field: Field
    at: Workspace
    names: dict[str, str]

    def ssh(self, case: Case) -> Result:
        flags, _, command = self.field.filled(case.sent).partition("-- ")
        for name, value in self.names.items():
            flags, command = flags.replace(f"{{{name}}}", value), command.replace(f"{{{name}}}", value)
        words = [command] if command else []
        return run(["ssh", *self.at.options, *flags.split(), "enc@workspace", *words])


@pytest.fixture(scope="module")
def inside(gateway: Gateway, place: Path) -> Iterator[Inside]:
    """Beside somebody whose workspace has a server, on a host that has one on all of its addresses."""
    with laid(gateway, place) as field, contextlib.ExitStack() as held, _server() as host:
        threading.Thread(target=tell, args=(host,), daemon=True).start()
        other = gateway.person(f"beside-{field.names['theirs']}")
        other.new("p")
        held.enter_context(other.mounted("p"))
        theirs = workspace(other, "p", place / "beside")
        server = SERVER.format(port=THEIR_PORT, said=CANARY)
        serving = theirs.start("touch /tmp/there; exec python3 -c " + f'"{server}"')
        held.callback(serving.kill)
        eventually(lambda: theirs.ssh("test", "-e", "/tmp/there").status == 0)
        address = run(["hostname", "-I"]).out.split()
        names = {
            "host_port": str(host.getsockname()[1]),
            "host_address": address[0] if address else "192.0.2.1",
            "their_port": str(THEIR_PORT),
        }
        yield Inside(field, workspace(field.attacker, "mine", place / "attackers"), names)


def _server() -> socket.socket:
    return socket.create_server(("0.0.0.0", 0))  # noqa: S104 - so that it could be reached


def tell(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listening.accept()[0] as one:
                one.sendall(CANARY.encode())


@by("workspace")
def test_from_a_workspace(case: Case, inside: Inside) -> None:
    done = inside.ssh(case)
    hold(case, inside.field, done.out + done.err, done.status)


def test_the_servers_that_nobody_reaches_are_there(inside: Inside) -> None:
    """Else the cases would show nothing."""
    with socket.create_connection(("127.0.0.1", int(inside.names["host_port"]))) as one:
        assert one.recv(100).decode() == CANARY
