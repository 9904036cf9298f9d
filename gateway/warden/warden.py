"""The life of a session: it opens, answers requests, and ends when what holds it ends.

What ends it: the channel (its pipes or terminal hang up), the end of the prompt that started it, bubblewrap's death,
SIGTERM, Ctrl-C, a `logout`, a revoked key, want of use, and, when a `mount` holds it, the end of its last view. End of
file on standard input is none of these: `echo secret | ssh gateway mount p` is a fair way to unlock.

Ending takes its time and waits for nothing without a limit; requests are answered meanwhile, or refused.
"""

from __future__ import annotations

import contextlib
import os
import socket

from gateway import errors
from gateway.audit.reasons import REASONS
from gateway.base import json
from gateway.base.clock import boottime, milliseconds_since, utc_now
from gateway.identity.names import ProjectName
from gateway.sandbox import paths, transfer
from gateway.session import layout, protocol
from gateway.session.spec import Spec
from gateway.vault.lease import LeaseHolder
from gateway.warden import hangup, mounts, preloading, server
from gateway.warden.activity import SESSION, Limits
from gateway.warden.idle import Idle
from gateway.warden.loop import Loop
from gateway.warden.messages import Messages
from gateway.warden.programs import execution, processes
from gateway.warden.programs.programs import Programs
from gateway.warden.records import Journal
from gateway.warden.tracking.trackers import Following
from gateway.warden.views.view import View
from gateway.warden.views.views import Views, incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.warden.loop import Steps

_RESERVE = 12
"""Descriptors: for two children, the audit log and a look at /proc."""


class Warden:
    """One session, from its Spec to its end."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._loop = Loop()
        self._messages = Messages(spec.id, spec.anchor.as_json)
        self.journal = Journal(spec, self._messages.failed)
        self._programs = Programs(
            self._loop,
            spec.grace,
            uses=lambda program, at: self._idle.touch("run", program.origin, program.view, at),
            window=lambda: self._idle.window(),
        )
        self._views = Views(
            self._loop, self._programs, self.journal, self._messages, self._lock_begun, self._lock_ended
        )
        self._status: int | None = None
        self._at_end: list[Callable[[], None]] = []
        self._has_ended = False
        self._reserve = server.Reserve(_RESERVE)
        self._origin = f"{spec.caller.address}:{spec.caller.port}"
        self._idle = Idle(
            self._loop,
            Limits(session=spec.idle.session, view=spec.idle.view, warning=spec.idle.warning),
            self._origin,
            self._messages,
            look=self._look,
            lock=lambda name: self._views.lock(self._views.live_at(ProjectName(name)), "idle-view"),
            close=lambda: self._end("idle-session"),
        )
        self._following = Following(
            self._loop,
            seen=lambda project, kind: self._idle.touch(kind, self._programs.labels(), project),
            record=self.journal.record,
        )

    def run(self) -> int:
        """Open the session, hold it to its end, and return its exit status."""
        mounts.prepare()
        hangup.watch(self._loop, self._spec, self._end)
        try:
            if first := self._spec.anchor.first:
                with first:
                    self._unlock(first, None)
            else:
                self._open()
        except errors.EncError as error:
            self._never_opened(error)
        self._loop.run()
        return self._status or 0

    def _open(self) -> None:
        """Let the world reach the session. Raises Misconfigured."""
        path = os.path.join(paths.SESSION, layout.SOCKET)
        try:
            server.Server(self._loop, path, self._spec.caller.principal, self._answer, self._reserve)
        except OSError as error:
            raise errors.Misconfigured("the gateway cannot write its run directory", error.strerror) from error
        self.journal.publish(self._views.live())
        anchor = self._spec.anchor
        self.journal.record("session-opened", anchor=anchor.name)
        self._idle.start()
        self._loop.at(0, self._watch_keys)
        self._loop.at(0, self._follow)
        if anchor.hangup is None and not anchor.first:
            self._messages.opened()
        if anchor.ready is not None:
            with contextlib.suppress(OSError):  # the prompt is gone, which its hang-up tells
                os.write(anchor.ready, b"1")
            os.close(anchor.ready)

    def _watch_keys(self) -> None:
        from gateway.warden import key_watch  # once the session is open: nobody waits for it

        key_watch.begin(self._loop, self._spec, self._programs, self.journal, self._end)

    def _follow(self) -> None:
        preloading.preload()
        self._following.begin()
        for view in self._views.live():
            self._following.add(view)

    def _answer(self, request: protocol.Request, front: socket.socket) -> None:
        """Carry out one request: at once, or later what has to wait. Raises what to refuse it with."""
        if self._status is not None and not isinstance(request, protocol.Ask | protocol.Lock | protocol.Close):
            raise errors.Busy("the session is locking everything and ends")
        if not isinstance(request, protocol.Ask):
            named = getattr(request, "project", SESSION)
            self._idle.touch("line" if isinstance(request, protocol.Touch) else "command", request.origin, named)
        match request:
            case protocol.Unlock():
                self._unlock(request, front)
            case protocol.Lock():
                self._lock_one(request, front)
            case protocol.Close() if request.reason in REASONS and REASONS[request.reason].in_close:
                self._end(request.reason, front)
            case protocol.Touch():
                server.reply(front, protocol.Done())
            case protocol.Limit():
                self._views.usable(request.project)
                self._idle.set_limit(request.project, self._longest(request.seconds))
                server.reply(front, protocol.Done())
            case protocol.Ask():
                server.reply(front, protocol.State(report=json.dumps(self._report())))
            case protocol.Attach() if request.program in transfer.PROGRAMS:
                execution.attach(self._programs, request, front)
            case protocol.Execute() if (request.terminal is None) != (request.stdio is None):
                self._views.usable(request.project)
                execution.start(self._programs, request, front)
            case _:
                raise errors.Internal("the request does not fit the session's protocol")

    def _unlock(self, request: protocol.Unlock, front: socket.socket | None) -> None:
        """Begin to unlock; the answer comes when gocryptfs serves or ends."""
        began = boottime()
        view = View(self._loop, request.project)
        self._views.add(view)
        view.unlock(
            request,
            LeaseHolder(session=self._spec.id, since=utc_now(), address=self._spec.caller.address),
            self._spec.quota,
            self._spec.hard_links,
            unlocked=lambda error: self._unlocked(view, error, began, front, request.origin),
            died=lambda: self._views.lock(view, "failed"),
        )

    def _is_prompt(self, origin: str) -> bool:
        """Whether a request came from the prompt that shares our terminal, where its command says what came of it."""
        return self._spec.anchor.name == "prompt" and origin == self._origin

    def _unlocked(
        self, view: View, error: errors.EncError | None, began: float, front: socket.socket | None, origin: str
    ) -> None:
        if error:
            self._views.drop(view)
            self.journal.record("unlock-failed", project=view.project, reason=error.slug)
            if front:
                server.reply(front, protocol.failed(error))
            else:
                self._never_opened(error)
            return
        try:
            if front:
                self.journal.publish(self._views.live())
            else:
                self._open()
        except errors.EncError as cannot_be_shown:
            self.journal.record("unlocked", **view.opened_with(), took_ms=milliseconds_since(began))
            self._take_back(view, cannot_be_shown, front)
            return
        self._idle.add(view.project, self._origin, self._longest(view.idle_limit))
        self._following.add(view)
        self.journal.record("unlocked", **view.opened_with(), took_ms=milliseconds_since(began))
        if front:
            server.reply(front, protocol.Done())
        if not self._is_prompt(origin):
            self._messages.unlocked(view.project)

    def _longest(self, limit: int) -> int:
        """An idle limit that a user set, in seconds, and at most what the gateway allows now."""
        return min(limit, max(self._spec.idle.view, self._spec.idle.view_longest))

    def _take_back(self, view: View, error: errors.EncError, front: socket.socket | None) -> None:
        """Lock a view that nobody would find."""
        self._messages.failed(error)
        if front:
            self._views.lock(view, "failed", told=lambda _: server.reply(front, protocol.failed(error)))
        else:
            self._end("failed")

    def _never_opened(self, error: errors.EncError) -> None:
        self._messages.failed(error)
        self._status = error.code
        self._loop.stop()

    def _look(self) -> None:
        """Note what has kept the session until now: file I/O, and programs that the user runs and that do something."""
        self._following.look()
        self._programs.look()

    def _lock_one(self, request: protocol.Lock, front: socket.socket) -> None:
        def tell(remains: str) -> None:
            answer = protocol.failed(incomplete(request.project, remains)) if remains else protocol.Done()
            self._when_ended(lambda: server.reply(front, answer))

        self._views.lock(self._views.live_at(request.project), "unmount", self._is_prompt(request.origin), tell)

    def _lock_begun(self, project: ProjectName) -> None:
        self._following.remove(project)
        self._idle.remove(project)
        self._reserve.release()

    def _lock_ended(self, reason: str) -> None:
        """The session goes on, unless a `mount` holds it and this was the last view."""
        self._reserve.refill()
        if self._status is not None:
            return
        try:
            self.journal.publish(self._views.live())
        except errors.EncError as error:
            self._messages.failed(error)
        if self._spec.anchor.name == "mount" and not self._views:
            self._end(reason)

    def _when_ended(self, act: Callable[[], None]) -> None:
        """At once, or when the session has ended, if that is under way."""
        if self._status is None or self._has_ended:
            act()
        else:
            self._at_end.append(act)

    def _end(self, reason: str, front: socket.socket | None = None) -> None:
        """Lock everything and end the session; `front`, if any, is told when that is done."""
        ends_already = self._status is not None
        if not ends_already:
            self._status = 0 if REASONS[reason].asked_for else errors.Busy.code
        if front:
            self._at_end.append(lambda: server.reply(front, protocol.Done()))
        if not ends_already:
            self._loop.follow(self._end_everything(reason), lambda _: self._loop.stop())

    def _end_everything(self, reason: str) -> Steps[None]:
        self._reserve.release()
        yield from self._views.end(reason)
        if self._spec.anchor.name == "session":
            self._messages.closed(reason)
        yield from processes.kill_the_rest()
        if self.journal.retire():
            self.journal.record("session-closed", reason=reason)
        self.journal.forget()
        self._has_ended = True
        for act in self._at_end:
            act()

    def _report(self) -> dict[str, object]:
        """What `status` shows of us beside the record."""
        self._programs.look()
        views = {
            view.project: {"locking": True} if view.is_locking else self._idle.report(view.project)
            for view in self._views.live()
        }
        programs = {"programs": self._programs.labels(), "attached": self._programs.report()}
        return {**self._idle.report(SESSION), **programs, "views": views}

    def fail(self, fault: Exception) -> int:
        """Lock after a fault of ours. The audit gets its kind and place, never its text, which could quote a name."""
        self.journal.record("fault", **errors.fault_fields(fault))
        self._messages.failed(errors.Internal("a fault of the gateway ended this session", "the audit log says where"))
        self._end("failed")
        with contextlib.suppress(Exception):  # a second one: with us, the kernel ends everything in the session
            self._loop.run()
        return errors.Internal.code
