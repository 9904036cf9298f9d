"""One SFTP channel for all sessions of a principal: each request goes to the session that has the project of its path.
The directory of the projects shows those of all sessions. What is unlocked later is found as well, and a locked project
is told from one that does not exist.

A view is mounted in its session's namespace alone, so there is an sftp-server in each session that is asked for
something, and this process between them and the client. What is for the first of them passes as it is: only where its
packets begin and what they are for is read. A handle of another has the number of its session in front.
"""

from __future__ import annotations

import os
import select

from gateway.base import rlimits
from gateway.errors import Busy, Denied, EncError, NoSuchProject, NotUnlocked
from gateway.identity.names import Principal
from gateway.sandbox.paths import PROJECTS
from gateway.session import registry
from rshell.session.sftp import packets
from rshell.session.sftp.backend import FULL, Backend
from rshell.session.sftp.known import Known
from rshell.session.sftp.listing import Listing, Open, directories, shown_in
from rshell.session.sftp.names import Place, located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.session.registry import Session
    from rshell.context import Context
    from rshell.session.sftp.packets import Asked

_CHUNK = 256 * 1024
_OVERALL = 0xFF
"""The first byte of a handle of the directory of the projects. sftp-server counts its own in four bytes: a 0 first."""
_NOBODY = 0xFE
_PROJECTS = f"{PROJECTS}/".encode()
_LONGEST_PATH = 4096
"""Linux's PATH_MAX."""
_MOST_LISTINGS = 256
"""Handles of the directory of the projects that are open at once."""
_ELSEWHERE = "those projects are unlocked in different sessions; copy, and remove the first"


class Ended(Exception):
    """A session's sftp-server has ended with the exit status `status`, or the client with 0."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Router:
    """Serve the client on our standard descriptors until it ends (`run`)."""

    def __init__(self, context: Context, sessions: tuple[Session, ...]) -> None:
        self._context = context
        self._known = Known(context)
        self._backends: list[Backend] = []
        self._received = bytearray()
        self._to_client = bytearray()
        self._listings: dict[bytes, Open] = {}
        self._opened = 0
        self._began = False
        self._is_open = True
        self._backend(registry.of_connection(sessions, context.caller.connection) or sessions[0])  # see `run`

    def run(self) -> int:
        """Returns the exit status. Raises EncError when the first session ends, and when our key is gone."""
        rlimits.lift_processor_time()
        for fd in (0, 1):
            os.set_blocking(fd, False)
        try:
            while self._is_open or self._to_client or any(one.is_busy for one in self._backends):
                self._step()
            return 0
        except Ended as ended:
            return ended.status
        except packets.Malformed:
            return EncError.code
        finally:
            for fd in (0, 1):
                os.set_blocking(fd, True)

    def _step(self) -> None:
        """Wait for something and do it."""
        waiting = select.poll()
        can_take = all(len(one.to_send) < FULL for one in self._backends)
        if self._is_open and can_take and len(self._to_client) < FULL:
            waiting.register(0, select.POLLIN)
        waiting.register(1, select.POLLOUT if self._to_client else 0)  # in any case we hear of its end
        backends = [one for one in self._backends if not one.has_ended]
        for one in backends:
            if len(self._to_client) < FULL:
                waiting.register(one.answers, select.POLLIN)
            if one.to_send:
                waiting.register(one.requests, select.POLLOUT)
            waiting.register(one.link, select.POLLIN)
        ready = dict(waiting.poll())
        if ready.get(1, 0) & (select.POLLERR | select.POLLHUP):
            raise Ended(0)
        for one in backends:
            if one.answers in ready:
                one.collect(self._to_client)
            if one.link.fileno() in ready:
                self._end(one)
        if 0 in ready:
            self._read()
        for one in self._backends:
            if not one.has_ended:
                one.flush()
        self._write()

    def _end(self, one: Backend) -> None:
        """It has ended. With the first we end, and with our key. Of another, the session is gone or about to go: the
        client keeps the others. Raises Ended, EncError.
        """
        why: EncError = NotUnlocked("the project was locked")
        try:
            status = one.status()
            if not one.number:
                raise Ended(status)
        except EncError as error:
            if not one.number or isinstance(error, Denied):
                raise
            why = error
        self._to_client += one.end(_code(why), f"enc: {why.line()}")

    def _read(self) -> None:
        try:
            read = os.read(0, _CHUNK)
        except ConnectionResetError:
            raise Ended(0) from None
        self._is_open = bool(read)
        received = self._received
        received += read
        first = self._backends[0]
        begin = at = 0  # what lies between is for the first session
        while end := packets.end(received, at):
            number = packets.first_of_handle(received, at, end) if self._began else -1
            if number == 0 or (number < 0 and self._began and self._is_for_first(packets.path(received, at, end))):
                first.expect_answer(packets.id_at(received, at))
            else:
                first.to_send += received[begin:at]
                begin = end
                if 0 < number < len(self._backends) and not (other := self._backends[number]).has_ended:
                    packets.without_first_of_handle(received, at, end, other.to_send)
                    other.expect_answer(packets.id_at(received, at))
                else:
                    self._to_client += self._asked(bytes(received[at + 4 : end]))
            at = end
        first.to_send += received[begin:at]
        del received[:at]

    def _is_for_first(self, path: bytes) -> bool:
        """Whether the path can go to the first session as it is written. What is not plain is left to `_by_path`."""
        return len(path) <= _LONGEST_PATH and is_plain(path, self._known.projects(self._backends[0].session))

    def _write(self) -> None:
        try:
            while self._to_client:
                with memoryview(self._to_client) as waiting, waiting[:_CHUNK] as chunk:
                    written = os.write(1, chunk)
                del self._to_client[:written]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):  # here alone: a file system can be the cause of them, too
            raise Ended(0) from None

    def _asked(self, body: bytes) -> bytes:
        """See to one request; what the client gets for it at once."""
        if not self._began:
            self._began = True
            if body[0] != packets.INIT:
                raise packets.Malformed
            self._backends[0].ask(packets.framed(body), packets.version)
            return b""
        try:
            asked = packets.asked(body)
        except packets.Unknown:
            return packets.status(body[1:5], packets.UNSUPPORTED, "not supported")
        try:
            return self._by_handle(asked) if asked.has_handle else self._by_path(asked)
        except EncError as error:
            return packets.status(asked.id, _code(error), f"enc: {error.line()}")

    def _by_handle(self, asked: Asked) -> bytes:
        numbers = {name[0] if name else _NOBODY for name in asked.names}
        if len(numbers) > 1:
            return packets.status(asked.id, packets.FAILURE, _ELSEWHERE)
        (number,) = numbers
        if number == _OVERALL:
            return self._overall(asked, asked.names[0])
        if number >= len(self._backends) or self._backends[number].has_ended:
            return packets.status(asked.id, packets.FAILURE, "no such handle")
        theirs = tuple(name[1:] for name in asked.names) if number else asked.names
        self._backends[number].ask(asked.packet(theirs))
        return b""

    def _by_path(self, asked: Asked) -> bytes:
        if any(len(path) > _LONGEST_PATH for path in asked.names):  # with what we add, a packet could be too large
            return packets.status(asked.id, packets.FAILURE, "the path is too long")
        sharers = self._known.sharers()
        places = [located(path, sharers) for path in asked.names[1 if asked.is_target_first else 0 :]]
        if asked.kind == packets.OPENDIR and places[0] in directories(sharers):
            if len(self._listings) >= _MOST_LISTINGS:
                return packets.status(asked.id, packets.FAILURE, "too many open directories")
            self._opened = self._opened + 1 & 0xFFFFFFFF
            handle = bytes([_OVERALL]) + self._opened.to_bytes(4, "big")
            self._listings[handle] = Open(places[0][0])
            return packets.handle(asked.id, handle)
        if asked.kind == packets.REALPATH and not self._exists(places[0][0]):  # of what is to be made
            places = [(None, places[0][1])]
        chosen = {session.id: session for session in (self._session(place) for place, _ in places)}
        if len(chosen) > 1:
            return packets.status(asked.id, packets.FAILURE, _ELSEWHERE)
        backend = self._backend(next(iter(chosen.values()), self._backends[0].session))
        paths = tuple(path for _, path in places)
        names = (asked.names[0], *paths) if asked.is_target_first else paths
        backend.ask(asked.packet(names), backend.number_handles if backend.number else None)
        return b""

    def _session(self, place: Place) -> Session:
        """The session that has it, and the first for no project. Raises NoSuchProject, NotUnlocked."""
        if place is None:
            return self._backends[0].session
        if isinstance(place, Principal):
            for session in self._known.sessions():
                if session.principal == place:
                    return session
            raise _nothing_of(place)
        try:
            return registry.with_project(self._known.sessions(), place)
        except NotUnlocked:
            if owner := self._context.sharers().get(place):  # nothing of theirs was held yet
                raise _nothing_of(owner) from None
            self._context.require_here(place)
            self._context.vault(place)
            raise

    def _exists(self, place: Place) -> bool:
        try:
            return place is None or isinstance(place, Principal) or bool(self._context.vault(place))
        except NoSuchProject:
            return False

    def _backend(self, session: Session) -> Backend:
        """The sftp-server in it. Raises EncError when none can be started."""
        for one in self._backends:
            if one.session.id == session.id and not one.has_ended:
                return one
        if len(self._backends) == _NOBODY:  # numbers are not used again: the client may have handles with them
            raise Busy("this connection has seen too many sessions", "connect again")
        self._backends.append(Backend(self._context, session, len(self._backends)))
        return self._backends[-1]

    def _overall(self, asked: Asked, handle: bytes) -> bytes:
        """The directory of the projects: one answer with all of them, and then the end."""
        if handle not in self._listings:
            return packets.status(asked.id, packets.FAILURE, "no such handle")
        if asked.kind == packets.CLOSE:
            del self._listings[handle]
            return packets.status(asked.id, 0)
        if asked.kind != packets.READDIR:
            return packets.status(asked.id, packets.UNSUPPORTED, "not supported")
        listed = self._listings[handle]
        if listed.is_read:
            return packets.status(asked.id, packets.EOF)
        listed.is_read = True
        found: dict[bytes, Backend] = {}
        for session in self._context.sessions():
            try:
                backend = self._backend(session)
            except NotUnlocked:  # it has just ended, and its projects are locked
                continue
            found |= {path: backend for view in session.views if (path := shown_in(listed.place, view.project))}
        listing = Listing(asked.id, len(found))
        for path, backend in found.items():
            body = bytes([packets.LSTAT]) + asked.id + packets.string(_PROJECTS + path)
            backend.ask(packets.framed(body), listing.collector(path.rpartition(b"/")[2]))
        return b"" if found else packets.status(asked.id, packets.EOF)


def is_plain(path: bytes, projects: set[bytes]) -> bool:
    """Whether `path` is as `located` would make it, and of one of `projects`."""
    if not path.startswith(_PROJECTS) or b"/.." in path:
        return False
    first, _, more = path[len(_PROJECTS) :].partition(b"/")
    return first in projects or b"/".join((first, more.partition(b"/")[0])) in projects


def _nothing_of(owner: Principal) -> NotUnlocked:
    return NotUnlocked(f"nothing of {owner} is unlocked", "`ls` lists what is shared with you")


def _code(error: EncError) -> int:
    """The status that tells a client most: with it, many show words of their own in place of ours."""
    if isinstance(error, NoSuchProject):
        return packets.NO_SUCH_FILE
    return packets.PERMISSION_DENIED if isinstance(error, NotUnlocked) else packets.FAILURE
