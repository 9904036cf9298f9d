"""What is connected and mounted, for all terminals of this user: $XDG_RUNTIME_DIR/enc/<gateway>/state.json.

Readers take no lock, because the file is always replaced as a whole. Writers hold a lock for a moment, and never while
they wait for somebody. The file has no secret, and nobody relies on it alone: processes are compared by their start
time, mounts by id and device.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from client.errors import DamagedState, Missing
from client.state import records, runtime_dir
from client.state.config import Profile
from client.state.records import State
from client.system import files, linux, processes
from client.system.sha256 import sha256

HOST = "host"
"""The file in which the directory of another host of a gateway's cluster has its name and address."""
_SSH_SOCKET_SUFFIX = 17
"""Characters that ssh appends to the socket's name while it makes it."""


class Store(NamedTuple):
    """The directory of one gateway. With `must_exist`, a state file that does not exist counts as lost, not as empty:
    for watchdogs and monitors, which were started because of what it records.
    """

    directory: str
    must_exist: bool = False

    @property
    def socket(self) -> str:
        """ssh's control socket."""
        return os.path.join(self.directory, "c")

    @property
    def events(self) -> str:
        """What the session on the gateway has printed."""
        return os.path.join(self.directory, "events")

    @property
    def errors(self) -> str:
        """What ssh has printed on standard error."""
        return os.path.join(self.directory, "errors")

    @property
    def _file(self) -> str:
        return os.path.join(self.directory, "state.json")

    def read(self) -> State:
        """The state; an empty one when there is none yet. Raises DamagedState for a file that enc did not write."""
        try:
            fd = os.open(self._file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would block
            with open(fd, encoding="utf-8") as file:
                return records.decode(json.load(file))
        except FileNotFoundError:
            if not self.must_exist:
                return State()
            raise _damaged(self._file, "gone") from None
        except (OSError, ValueError, RecursionError):  # ValueError: not UTF-8, not JSON, or not a State
            raise _damaged(self._file, "damaged") from None

    def change(self, how: Callable[[State], State]) -> State:
        """Replace the state by what `how` returns for it, with no other change in between; returns the new one.

        Raises DamagedState, or OSError when it cannot be written.
        """
        with self.lock("lock"):
            new = how(self.read())
            files.replace(self._file, json.dumps(records.encode(new)))
            return new

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name`. It also ends when this process ends. Raises DamagedState without a directory."""
        try:
            fd = files.open_locked(os.path.join(self.directory, name))
        except FileNotFoundError:
            raise _damaged(self.directory, "gone") from None
        try:
            yield
        finally:
            os.close(fd)


def of(profile: Profile) -> Store:
    """The store of a gateway, its directory created when it does not exist. Raises Missing."""
    store = Store(os.path.join(runtime_dir.path(), name(profile)))
    if len(os.fsencode(store.socket)) + _SSH_SOCKET_SUFFIX >= linux.SOCKET_PATH_MAX:
        raise Missing("the path in XDG_RUNTIME_DIR is too long for a socket", "set it to a shorter one")
    os.makedirs(store.directory, 0o700, exist_ok=True)
    if profile.address:
        files.replace(os.path.join(store.directory, HOST), json.dumps([profile.other, profile.address]))
    return store


def name(profile: Profile) -> str:
    """That of the directory. Those of a cluster's other hosts begin with the gateway's, and a dash."""
    identity = (profile.host, profile.user, str(profile.port), profile.identity, profile.ssh_config)
    gateway = _hashed("\0".join(identity))
    return f"{gateway}-{_hashed(profile.address)}" if profile.address else gateway


def _hashed(text: str) -> str:
    digest: str = sha256(text.encode()).hexdigest()
    return digest[:8]


def connected(profile: Profile) -> Store | None:
    """The store of a gateway if its ssh connection exists; else None."""
    try:
        store = of(profile)
    except Missing:  # without a runtime directory nothing can be mounted, but a request needs no state
        return None
    connection = store.read().connection
    return store if connection and processes.is_alive(connection.master) else None


def _damaged(path: str, how: str) -> DamagedState:
    hint = "the projects that it listed are being unmounted and locked; remove it, and mount again"
    return DamagedState(f"{path} is {how}", hint)
