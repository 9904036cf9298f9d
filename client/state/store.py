"""What is connected and mounted, for all terminals of this user: $XDG_RUNTIME_DIR/enc/<gateway>/state.json.

Read without a lock, since it is replaced as a whole; changed under a lock that is held for a moment and never while
anybody is waited for. Nothing in it is secret, and nothing in it is believed: processes are compared by their start,
mounts by their id and device. The directory is on a tmpfs that ends with the login, and is the user's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from client.errors import DamagedState, Missing
from client.state.typed_json import made
from client.system import linux as platform
from client.system.processes import Process

DETACHED = "detached"
"""The id of the terminal that is none: what belongs to it stays until `enc unmount` or `enc logout`."""


class Connection(NamedTuple):
    """`master` is the ssh that holds the connection, and the session on it."""

    host: str
    master: Process
    session: str


class Terminal(NamedTuple):
    """`followed` are the shell that called us and its session's leader: the end of either is the terminal's."""

    id: str
    followed: tuple[Process, ...]
    tty: str
    watchdog: Process | None = None


class Mount(NamedTuple):
    """A mount of ours. `mount_id` is 0 until it is there; `ending` is who takes it away, in order."""

    project: str
    directory: str
    made: bool
    terminal: str
    owner: Process
    source: str = ""
    device: str = ""
    mount_id: int = 0
    sshfs: Process | None = None
    monitor: Process | None = None
    ending: Process | None = None


class State(NamedTuple):
    """`lost` are sessions of ours whose connection ended; the gateway may not have noticed yet."""

    connection: Connection | None = None
    terminals: dict[str, Terminal] = {}  # noqa: RUF012 - never changed in place
    mounts: dict[str, Mount] = {}  # noqa: RUF012
    lost: tuple[str, ...] = ()

    def with_terminal(self, terminal: Terminal) -> State:
        return self._replace(terminals={**self.terminals, terminal.id: terminal})

    def without_terminal(self, id_: str) -> State:
        return self._replace(terminals={key: value for key, value in self.terminals.items() if key != id_})

    def with_mount(self, mount: Mount) -> State:
        return self._replace(mounts={**self.mounts, mount.project: mount})

    def without_mount(self, project: str) -> State:
        return self._replace(mounts={key: value for key, value in self.mounts.items() if key != project})

    def mounts_of(self, terminal: str) -> list[Mount]:
        return [mount for mount in self.mounts.values() if mount.terminal == terminal]


class Store(NamedTuple):
    """The directory of one gateway. `known`: for those who look after what it records, a state that is not there is
    lost, and not empty."""

    directory: str
    known: bool = False

    @property
    def socket(self) -> str:
        return os.path.join(self.directory, "c")

    @property
    def events(self) -> str:
        return os.path.join(self.directory, "events")

    @property
    def errors(self) -> str:
        return os.path.join(self.directory, "errors")

    def read(self) -> State:
        """The state; an empty one when there is none yet. Raises DamagedState for one that we did not write."""
        path = os.path.join(self.directory, "state.json")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would block
            with open(fd, encoding="utf-8") as file:
                return _state(json.load(file))
        except FileNotFoundError:
            if not self.known:
                return State()
            raise _damaged(path, "gone") from None
        except (OSError, ValueError, RecursionError):  # ValueError: not UTF-8, no JSON, not ours
            raise _damaged(path, "not as enc wrote it") from None

    def change(self, how: Callable[[State], State]) -> State:
        """Replace the state by what `how` makes of it, with nobody in between; the new one."""
        with self.lock("lock"):
            new = how(self.read())
            draft = os.path.join(self.directory, "state.new")
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(_plain(new), file)
            os.rename(draft, os.path.join(self.directory, "state.json"))
            return new

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name`, which ends with the process at the latest."""
        path = os.path.join(self.directory, name)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise _damaged(self.directory, "gone") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def runtime() -> str:
    """The directory of all gateways, made when it is not there. Raises Missing."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    hint = "log in through systemd-logind, or set it to a directory on a tmpfs that is yours alone (mode 0700)"
    if not base:
        raise Missing("XDG_RUNTIME_DIR is not set", hint)
    try:
        about = os.stat(base)
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise Missing(f"XDG_RUNTIME_DIR ({base}) is not a directory that is yours alone", hint)
        path = os.path.join(os.path.realpath(base), "enc")
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise Missing(f"XDG_RUNTIME_DIR ({base}) cannot be used: {error.strerror}", hint) from error
    return path


def of_gateway(*identity: str) -> Store:
    """The store of the gateway that `identity` (host, user, port, ...) names. Raises Missing."""
    name = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:8]
    store = Store(os.path.join(runtime(), name))
    # ssh appends 17 characters while it makes the socket
    if len(os.fsencode(store.socket)) + 17 >= platform.SOCKET_PATH_MAX:
        raise Missing("the path of XDG_RUNTIME_DIR is too long for a socket", "set it to a shorter one")
    os.makedirs(store.directory, 0o700, exist_ok=True)
    return store


class _Written(NamedTuple):
    """As the file has it: what is kept by name in memory is a list there."""

    connection: Connection | None
    terminals: tuple[Terminal, ...]
    mounts: tuple[Mount, ...]
    lost: tuple[str, ...]


def _plain(state: State) -> dict[str, Any]:
    return {
        "connection": state.connection and state.connection._asdict(),
        "terminals": [terminal._asdict() for terminal in state.terminals.values()],
        "mounts": [mount._asdict() for mount in state.mounts.values()],
        "lost": state.lost,
    }


def _state(plain: object) -> State:
    """Raises ValueError for what `_plain` does not make."""
    written = made(_Written, plain)
    return State(
        connection=written.connection,
        terminals={terminal.id: terminal for terminal in written.terminals},
        mounts={mount.project: mount for mount in written.mounts},
        lost=written.lost,
    )


def _damaged(path: str, how: str) -> DamagedState:
    hint = "what it knew of is being unmounted and locked; remove it, and mount again"
    return DamagedState(f"{path} is {how}", hint)
