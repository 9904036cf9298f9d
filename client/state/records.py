"""What is connected and mounted, as typed records, and how they are written to state.json and read from it."""

from __future__ import annotations

from typing import Any, NamedTuple

from client.state import typed_json
from client.system.processes import Process

DETACHED = "detached"
"""The terminal id of mounts that belong to no terminal: they stay until `enc unmount` or `enc logout --all`."""


class Connection(NamedTuple):
    """`master` is the ssh process that holds the connection; `session` is the gateway's session on it."""

    host: str
    master: Process
    session: str


class Terminal(NamedTuple):
    """`followed` are the shell that called enc and the leader of its session: the terminal ends when either ends.

    `typing_counts`: typing on it is use of the projects that are mounted for it.
    """

    id: str
    followed: tuple[Process, ...]
    tty: str
    watchdog: Process | None = None
    typing_counts: bool = False


class Mount(NamedTuple):
    """A mount that enc made. `made`: enc also made its directory. `mount_id`: 0 until sshfs has mounted.

    `owner` is the enc process that made it; `ending` is the process that is unmounting it.
    """

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
    """`lost` are our sessions whose connection ended; the gateway may not have noticed that yet."""

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

    def current(self, mount: Mount) -> Mount | None:
        """This very mount as it is recorded now; None when it is not, or when the project was mounted again since."""
        now = self.mounts.get(mount.project)
        return now if now and (now.mount_id, now.owner) == (mount.mount_id, mount.owner) else None


class _Written(NamedTuple):
    """The shape of state.json: lists where State has dictionaries."""

    connection: Connection | None
    terminals: tuple[Terminal, ...]
    mounts: tuple[Mount, ...]
    lost: tuple[str, ...]


def encode(state: State) -> dict[str, Any]:
    """The JSON object for `state`."""
    return {
        "connection": state.connection and state.connection._asdict(),
        "terminals": [terminal._asdict() for terminal in state.terminals.values()],
        "mounts": [mount._asdict() for mount in state.mounts.values()],
        "lost": state.lost,
    }


def decode(value: object) -> State:
    """The state that `encode` made `value` of. Raises ValueError for anything else."""
    written = typed_json.decode(_Written, value)
    return State(
        connection=written.connection,
        terminals={terminal.id: terminal for terminal in written.terminals},
        mounts={mount.project: mount for mount in written.mounts},
        lost=written.lost,
    )
