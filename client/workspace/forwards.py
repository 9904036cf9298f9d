"""Forwards from this machine to a server in a workspace: each is a stock ssh in the foreground of an `enc forward`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from client.connection import ssh_options
from client.errors import CannotCreate, Unreachable, Usage
from client.state.store import Store
from client.system import children, files, processes
from client.system.processes import Process
from client.workspace import reach

_LOOPBACK = "127.0.0.1"
_PORTS = range(1, 65536)
_PORT = re.compile(r"[0-9]{1,5}")
_DIRECTORY = "forwards"


class Forward(NamedTuple):
    """From `local`, a port of this machine's loopback, to `target`: a port of the workspace, or a socket's path."""

    project: str
    local: int
    target: str

    @property
    def words(self) -> str:
        what = f"port {self.target}" if _PORT.fullmatch(self.target) else self.target
        return f"{_LOOPBACK}:{self.local} reaches {what} in {self.project}"


def parse(project: str, spec: str) -> Forward:
    """From [LOCAL:]PORT or LOCAL:/PATH. Raises Usage."""
    first, colon, second = spec.partition(":")
    local, target = (first, second) if colon else (first, first)
    is_path = target.startswith("/") and target.isprintable()
    if not (_is_port(local) and (_is_port(target) or is_path)):
        raise Usage(f"{spec[:40]!r} is no port", "write PORT, LOCAL:PORT or LOCAL:/path/of/a/socket")
    return Forward(project, int(local), target if is_path else str(int(target)))


def _is_port(text: str) -> bool:
    return bool(_PORT.fullmatch(text)) and int(text) in _PORTS


def start(forward: Forward, name: str) -> subprocess.Popen[bytes]:
    """The ssh that forwards, to the workspace that ssh calls `name`. It listens when this returns. Raises CannotCreate,
    Unreachable.
    """
    target = forward.target if forward.target.startswith("/") else f"localhost:{forward.target}"
    words = [*reach.ssh_words(), "-N", "-T", "-L", f"{_LOOPBACK}:{forward.local}:{target}"]
    settings = {"ExitOnForwardFailure": "yes", "PermitLocalCommand": "yes", "LocalCommand": "echo", "LogLevel": "ERROR"}
    words += [*ssh_options.words(settings), "--", name]
    child = children.start(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout and child.stderr  # noqa: S101
    if child.stdout.readline():  # of LocalCommand: it is connected, and listens
        return child
    said = child.stderr.read().decode(errors="replace")
    child.wait()
    if "Address already in use" in said or "cannot listen" in said:
        raise CannotCreate(f"port {forward.local} of this machine is taken", f"choose another: OTHER:{forward.target}")
    last = (said.strip().splitlines() or ["ssh ended"])[-1].removeprefix("enc: ")
    raise Unreachable(
        f"the workspace of {forward.project} is not reached: {last}", "`enc status` shows what is unlocked"
    )


@contextlib.contextmanager
def recorded(store: Store, forward: Forward, child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Show it in `listed` for the length of the block."""
    directory = os.path.join(store.directory, _DIRECTORY)
    os.makedirs(directory, 0o700, exist_ok=True)
    path = os.path.join(directory, str(child.pid))
    process = processes.find(child.pid) or Process(child.pid, 0)
    files.replace(path, json.dumps({**forward._asdict(), "start": process.start}))
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def listed(store: Store) -> list[Forward]:
    """All of the gateway's that are there, by local port."""
    directory = os.path.join(store.directory, _DIRECTORY)
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            try:
                with open(path, encoding="utf-8") as file:
                    about = json.load(file)
                process = Process(int(name), int(about.pop("start")))
                forward = Forward(**about)
            except (OSError, ValueError, TypeError, KeyError):
                continue
            if processes.is_alive(process):
                found.append(forward)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
    return sorted(found, key=lambda one: one.local)
