"""All holders of a session: who joins, who leaves with what, and whose what happens is.

A view ends with the last of those who hold it, the session with the last holder. Who leaves takes along what it held
alone, and its programs; nobody waits for that but itself.
"""

from __future__ import annotations

from gateway.audit.reasons import REASONS
from gateway.errors import Busy, NotUnlocked
from gateway.identity.names import ProjectName
from gateway.session import registry
from gateway.session.spec import STARTER
from gateway.warden.activity import SESSION
from gateway.warden.holders.attribution import Attribution
from gateway.warden.holders.audience import Audience
from gateway.warden.holders.elsewhere import Elsewhere
from gateway.warden.holders.holder import MOUNT, Holder, Who, belonging, end_programs
from gateway.warden.holders.link import Link
from gateway.warden.loop import Loop
from gateway.warden.programs.programs import Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from gateway.identity.names import Principal, SessionId
    from gateway.session import protocol
    from gateway.session.protocol import Request
    from gateway.warden.holders.channel import OwnChannel
    from gateway.warden.idle import Idle
    from gateway.warden.programs.programs import Program
    from gateway.warden.records import Journal

_MOST, _KEPT = 32, 4
"""Of one session: each costs it a connection and up to four descriptors. The last four are kept for the owner."""


class Holders:
    """`lock(project, reason)` is called for what nobody holds any more, `end(reason)` when nobody holds the session,
    and `changed()` when what the session shows is another.
    """

    def __init__(
        self,
        loop: Loop,
        programs: Programs,
        lock: Callable[[ProjectName, str], None],
        end: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._programs = programs
        self._lock = lock
        self._end = end
        self._changed = changed
        self._all: list[Holder] = []
        self._leaving: dict[Holder, tuple[str, list[Callable[[], None]]]] = {}
        self._count = 0
        self._attribution = Attribution(loop, programs, self._worked_on)
        self.audience = Audience(lambda: (*self._all, *self._leaving))

    def begin(self, own: OwnChannel, owner: Principal, journal: Journal, idle: Idle) -> None:
        """With the first of them, who has the session to itself."""
        self.own = own
        self._owner = owner
        self._journal = journal
        self._idle = idle
        self.elsewhere = Elsewhere(
            self._loop, own.who, own.pass_on, used=lambda: self._active(own), ended=self.leave_if_done
        )
        self._all.append(own)
        own.watch(self.leave)

    def __iter__(self) -> Iterator[Holder]:
        return iter(tuple(self._all))

    def records(self) -> tuple[registry.Holder, ...]:
        """Oldest first."""
        return tuple(one.record() for one in self._all)

    def report(self) -> list[dict[str, object]]:
        """Each of them and its idle clock, for `status`."""
        return [{**one.record().as_dict(), **self._idle.report(one.name)} for one in self._all]

    def keys(self) -> set[tuple[Principal, str]]:
        """Who holds something, and by which key (blob)."""
        return {(one.who.principal, one.who.blob) for one in self._all}

    # Whose it is

    def _of(self, request: Request, among: list[Holder]) -> list[Holder]:
        return belonging(request.origin, request.blob, among)

    def of(self, request: Request) -> list[Holder]:
        """Those that a request belongs to, none if it is of a key that holds nothing."""
        return self._of(request, self._all)

    def meant(self, request: Request, project: ProjectName | None = None) -> list[Holder]:
        """Those whose hold of `project`, or of the session, the request is about: its own, else all of its principal's;
        without a key, all.
        """
        among = self._all if project is None else self.holding(project)
        if not request.blob:
            return among[:]
        return self._of(request, among) or [one for one in among if one.who.principal == request.principal]

    def named(self, name: str) -> Holder:
        """The one of that name, which is there."""
        return next(one for one in self._all if one.name == name)

    def holding(self, project: ProjectName) -> list[Holder]:
        return [one for one in self._all if project in one.projects]

    def hold(self, project: ProjectName, request: Request) -> None:
        """What a request is about to unlock is for the one on its connection. Raises Busy if that has left already."""
        found = [one for one in self._all if one.who.origin == request.origin]
        if not found:
            raise Busy("the channel that was to hold it has ended")
        found[0].projects.add(project)

    def dropped(self, project: ProjectName) -> None:
        """It was not unlocked."""
        for holder in (*self._all, *self._leaving):
            holder.projects.discard(project)

    def used(self, chosen: Iterable[Holder], kind: str, by: str, view: str = SESSION, at: float | None = None) -> None:
        """Something happened, and `chosen` did it."""
        chosen = tuple(chosen)
        self._idle.touch(kind, by, view, at, [one.name for one in chosen])
        for one in chosen:
            one.used()
        if self.own in chosen:
            self.elsewhere.touch()

    def worked(self, program: Program, at: float) -> None:
        """A program of `run`, `shell` or git did something."""
        self.used(belonging(program.origin, program.blob, self._all), "run", program.origin, program.view, at)

    def files_used(self, project: ProjectName, kind: str) -> None:
        """A file in the view was read or written."""
        if len(self._all) == 1:
            self.used(self._all, kind, self._programs.labels(), project)
        else:
            self._idle.touch(kind, self._programs.labels(), project)
            self._attribution.see(project, kind)

    def _worked_on(self, project: ProjectName, kind: str, at: float, programs: list[Program]) -> None:
        """The same, of several holders: `programs` did it."""
        holding = self.holding(project)
        chosen = [one for one in holding if any(one in belonging(by.origin, by.blob, holding) for by in programs)]
        if chosen:
            self.used(chosen, kind, ", ".join(f"{by.label} from {by.origin}" for by in programs), project, at)

    def look(self) -> None:
        """Note at once whose the file I/O of this moment is."""
        if len(self._all) > 1:
            self._attribution.settle()

    def prompt_of(self, origin: str) -> Holder | None:
        """The prompt that shares our terminal, if a request came from there: its command says what came of it."""
        return self.own if self.own.is_at_prompt and origin == self.own.who.origin else None

    # Joining

    def join(self, request: protocol.Join, front: socket.socket, session: SessionId) -> None:
        """Another channel, for a project that is live. Raises Busy, OSError."""
        if len(self._all) >= _MOST - _KEPT * (request.principal != self._owner):
            count = len(self._all)
            raise Busy(f"{request.project} is held by {count} channels, which is the limit", "end one of them first")
        there = [one for one in self.holding(request.project) if one.kind != STARTER]
        if any(request.origin == one.who.origin for one in there):
            raise Busy(f"{request.project} is unlocked by this connection already", "`unmount` ends that")
        who = Who(
            principal=request.principal,
            role=request.role,
            fingerprint=request.fingerprint,
            blob=request.blob,
            origin=request.origin,
            connection=request.connection,
        )
        self._count += 1
        link = Link(self._loop, f"@{self._count}", session, self._owner, request, who, front, self.leave, self._active)
        link.projects.add(request.project)
        self._all.append(link)
        self._joined(link, request.project)

    def join_by(self, request: protocol.Hold) -> None:
        """The holder on the caller's own connection holds one more project. Raises NotUnlocked."""
        own = [one for one in self._all if one.who.origin == request.origin and not one.via]
        if not own:
            raise NotUnlocked("this connection does not hold the session", "try again")
        own[0].projects.add(request.project)
        self._joined(own[0], request.project)

    def keep(self, request: protocol.Keep) -> None:
        """Our first channel holds a project of another session. Raises Busy, Internal, OSError."""
        if request.origin != self.own.who.origin or self.own not in self._all:
            raise Busy("this connection has joined a session, and can hold no other project", "open another connection")
        self.elsewhere.keep(request, self.own.say)
        if self.prompt_of(request.origin) is None:
            self.own.say.unlocked(request.project)

    def _joined(self, holder: Holder, project: ProjectName) -> None:
        self._journal.record(
            "joined", project=project, **holder.who.audit_fields(), **({"via": holder.via} if holder.via else {})
        )
        if not holder.via:  # the session that keeps the hold says so
            holder.say.unlocked(project)
        self._recount()

    def _active(self, holder: Holder) -> None:
        """Its own session is in use."""
        self._idle.touch("command", holder.who.origin, SESSION, None, [holder.name])

    # Leaving

    def leave(self, holder: Holder, reason: str, left: Callable[[], None] = lambda: None) -> None:
        """It holds nothing any more. `left` is called when what it held alone is locked."""
        if holder not in self._all:
            if holder in self._leaving:
                self._leaving[holder][1].append(left)
            return
        if len(self._all) == 1:
            self._end(reason)
            return
        end_programs(self._programs, holder, self._all, reason)
        self._all.remove(holder)
        alone = {project for project in holder.projects if not self.holding(project)}
        for project in sorted(holder.projects - alone):
            self._tell_left(holder, project, reason)
        if not holder.projects:
            self._journal.record("left", reason=reason, **holder.who.audit_fields())
        holder.projects = alone
        self._leaving[holder] = reason, [left]
        if holder is self.own and self.elsewhere:
            self.elsewhere.leave(reason)
            self._loop.follow(self.elsewhere.has_left(), lambda _: self._let_go())
        for project in sorted(alone):
            self._lock(project, reason)
        self._recount()
        self._let_go()

    def release(self, project: ProjectName, chosen: list[Holder], reason: str, quiet: Holder | None = None) -> None:
        """They do not hold the project any more, which others do. `quiet` is told otherwise."""
        for holder in chosen:
            if holder.kind == MOUNT and holder.projects == {project} and not (holder is self.own and self.elsewhere):
                self.leave(holder, reason)
                continue
            holder.projects.discard(project)
            self._tell_left(holder, project, reason, holder is quiet)
            end_programs(self._programs, holder, self._all, reason, project)
        self._recount()

    def locked(self, project: ProjectName, reason: str) -> None:
        """Its view is gone, for all."""
        self.dropped(project)
        self.leave_if_done(reason)

    def leave_if_done(self, reason: str = "unmount") -> None:
        """Who is here for projects alone leaves when there are none left."""
        self._let_go()
        for holder in tuple(self._all):
            if holder.kind == MOUNT and not self._holds_something(holder):
                self.leave(holder, reason)

    def _holds_something(self, holder: Holder) -> bool:
        return bool(holder.projects or (holder is self.own and self.elsewhere))

    def end(self, status: int) -> None:
        """The session has ended."""
        for holder in (*self._all, *self._leaving):
            if holder is not self.own:
                holder.end(status)
        for _, told in self._leaving.values():
            for tell in told:
                tell()

    def _let_go(self) -> None:
        for holder, (reason, told) in tuple(self._leaving.items()):
            if not self._holds_something(holder):
                del self._leaving[holder]
                holder.closed(reason)
                holder.end(0 if REASONS[reason].asked_for else Busy.code)
                for tell in told:
                    tell()

    def _tell_left(self, holder: Holder, project: ProjectName, reason: str, quietly: bool = False) -> None:
        if holder.kind == STARTER:
            return
        self._journal.record("left", project=project, reason=reason, **holder.who.audit_fields())
        if not quietly:
            others = "" if reason == "unshared" else ", ".join(one.record().who for one in self.holding(project))
            holder.say.left(project, reason, others)

    def _recount(self) -> None:
        self._attribution.need(len(self._all) > 1)
        self._idle.count_holders({one.name: one.who.origin for one in self._all})
        self._changed()
