"""The workspaces of a session: one for each principal's key and project, and the channels of each.

A workspace is a program like those of `run`, which keeps others company: gateway.sandbox.inside.workspace lets a
channel in by starting `sshd -i` on it. It has no front of its own, but one end of a socket pair, and ends when the
other end, which is ours, is closed: with the view, or the session. A channel ends with its front.

What the workspace says is a user's program's word: bounded, of known kinds, and believed of itself alone.
"""

from __future__ import annotations

import socket

from gateway.base import json
from gateway.base.records import Record
from gateway.errors import Busy, EncError, Internal, NotUnlocked
from gateway.session import channel, protocol
from gateway.warden import server
from gateway.warden.loop import HANGUP, READ, Loop
from gateway.warden.programs import execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.sandbox.paths import Shown
    from gateway.warden.programs.programs import Program, Programs

    Key = tuple[str, str, str]
    Recorder = Callable[..., None]

_PACKET = 4096
_MOST_PORTS = 100
"""Forwards to different ports that are recorded of one key and project: a program could name all, for ever, and end its
workspace to have another one."""
_PORTS = range(65536)


class Said(Record):
    """One word of a workspace's (gateway.sandbox.inside.workspace); 0, "" or None for what it does not say."""

    host_key: str = ""
    login: int = 0
    forward: int | None = None
    ended: int = 0
    status: int = 0


def understood(packet: bytes) -> Said:
    """Raises ValueError for what is no such word."""
    try:
        values = json.loads(packet)
    except RecursionError as error:
        raise ValueError("too deep") from error
    match values:
        case {"host_key": str(key)} if key.isascii() and key.isprintable():
            return Said(host_key=key)
        case {"login": int(number)} if type(number) is int:
            return Said(login=number)
        case {"forward": int(port)} if type(port) is int and port in _PORTS:
            return Said(forward=port)
        case {"ended": int(number), "status": int(status)} if type(number) is type(status) is int:
            return Said(ended=number, status=status & 0xFF)
    raise ValueError("no such word")


class Workspaces:
    """`record` writes an event to the audit, with what is known of a program."""

    def __init__(self, loop: Loop, programs: Programs, record: Recorder) -> None:
        self._loop = loop
        self._programs = programs
        self._record = record
        self._known: dict[Key, _Workspace] = {}
        self._ports: dict[Key, set[int]] = {}

    def enter(self, request: protocol.Enter, front: socket.socket, shown: Shown) -> None:
        """Let a channel in, or tell the host key. Raises EncError, OSError."""
        key = (request.principal, request.blob, request.project)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._begin(key, request, shown)
        elif known.has_home is not request.home:
            began = "with" if known.has_home else "without"
            hint = f"unmount {request.project} and mount it again for another one"
            raise Busy(f"the workspace of {request.project} began {began} a home in the project", hint)
        if request.stdio is None:
            known.tell_host_key(front)
        else:
            known.enter(front, request, request.stdio)

    def _begin(self, key: Key, request: protocol.Enter, shown: Shown) -> _Workspace:
        ports = self._ports.setdefault(key, set())
        return _Workspace(self._loop, self._programs, self._record, request, shown, ports, lambda: self._known.pop(key))


class _Workspace:
    """One. `ports` are those that are recorded; `ended` is called when it has ended."""

    def __init__(
        self,
        loop: Loop,
        programs: Programs,
        record: Recorder,
        request: protocol.Enter,
        shown: Shown,
        ports: set[int],
        ended: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._record = record
        self._forget = ended
        self.has_home = request.home
        self._host_key = ""
        self._asking: list[socket.socket] = []
        self._channels: dict[int, tuple[socket.socket, protocol.Enter]] = {}
        self._unentered: set[int] = set()  # channels without a login: each is recorded once, however often it is said
        self._count = 0
        self._ports = ports
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        front, self._life = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._program: Program = execution.keep(programs, request, front, theirs.fileno(), shown)
        except BaseException:
            for each in (front, self._life, self._control):
                each.close()
            raise
        finally:
            theirs.close()
        self._control.setblocking(False)
        loop.watch(self._control.fileno(), READ, lambda _: self._hear())
        loop.watch(self._life.fileno(), HANGUP, lambda _: self._ended())

    def tell_host_key(self, front: socket.socket) -> None:
        """At once, or when the sshd has one."""
        if self._host_key:
            server.reply(front, protocol.HostKey(key=self._host_key))
            return
        self._asking.append(front)
        self._loop.watch(front.fileno(), HANGUP, lambda _: self._stop_asking(front))

    def _stop_asking(self, front: socket.socket) -> None:
        self._loop.unwatch(front.fileno())
        self._asking.remove(front)
        front.close()

    def enter(self, front: socket.socket, request: protocol.Enter, stdio: protocol.Stdio) -> None:
        """A channel of `front`, which is told its end. Raises OSError."""
        self._count += 1
        number = self._count
        packet = json.dumps({"enter": number, "key": request.key}).encode()
        socket.send_fds(self._control, [packet], [stdio.stdin, stdio.stdout])
        self._channels[number] = front, request
        self._unentered.add(number)
        self._loop.watch(front.fileno(), HANGUP, lambda _: self._leave(number))

    def _leave(self, number: int) -> None:
        """The front has gone."""
        self._forget_channel(number).close()
        try:
            self._control.send(json.dumps({"leave": number}).encode())
        except OSError:  # it does not listen any more: then all of it ends
            self._life.shutdown(socket.SHUT_RDWR)

    def _hear(self) -> None:
        try:
            self._take(understood(self._control.recv(_PACKET)))
        except (OSError, ValueError):  # its end, or nonsense: another program has taken its place
            self._loop.unwatch(self._control.fileno())
            self._life.shutdown(socket.SHUT_RDWR)

    def _take(self, said: Said) -> None:
        if said.host_key and not self._host_key:
            self._host_key = said.host_key
            for front in self._asking:
                self._loop.unwatch(front.fileno())
                server.reply(front, protocol.HostKey(key=said.host_key))
            self._asking.clear()
        elif said.login in self._unentered:
            self._unentered.remove(said.login)
            self._note("workspace-login", self._channels[said.login][1])
        elif said.forward is not None and said.forward not in self._ports and len(self._ports) < _MOST_PORTS:
            self._ports.add(said.forward)
            self._note("workspace-forward", None, port=said.forward)
        elif said.ended in self._channels:
            server.reply(self._forget_channel(said.ended), protocol.Exited(status=said.status))

    def _forget_channel(self, number: int) -> socket.socket:
        """Its front, which is not watched any more."""
        front, _ = self._channels.pop(number)
        self._unentered.discard(number)
        self._loop.unwatch(front.fileno())
        return front

    def _note(self, event: str, request: protocol.Enter | None, **fields: object) -> None:
        origin = request.origin if request else self._program.origin
        address, _, port = origin.rpartition(":")
        about = {"principal": self._program.principal, "fingerprint": self._program.fingerprint, "address": address}
        client = int(port) if port.isdecimal() else 0
        self._record(event, project=self._program.view, **about, client_port=client, **fields)

    def _ended(self) -> None:
        """Of all of it, and why."""
        self._loop.unwatch(self._life.fileno())
        self._loop.unwatch(self._control.fileno())
        why = self._why()
        for front in (*self._asking, *(front for front, _ in self._channels.values())):
            self._loop.unwatch(front.fileno())
            server.reply(front, protocol.failed(why))
        self._life.close()
        self._control.close()
        self._forget()

    def _why(self) -> EncError:
        try:
            self._life.setblocking(False)
            said = channel.receive(self._life)
        except (OSError, protocol.Malformed):
            said = None
        if isinstance(said, protocol.Failed):
            return protocol.error_of(said)
        if not self._host_key:
            return Internal("the workspace did not start", "your sysadmin finds why in the log of the gateway")
        return NotUnlocked("the workspace has ended", "the next connection makes a new one")
