"""The life of a session: it opens, answers requests, and ends when what holds it ends.

What ends it: that its last holder leaves (gateway.warden.holders), bubblewrap's death, SIGTERM, the sysadmin, and the
idle limit. A holder leaves when its channel's pipes or terminal hang up, with the prompt that started it, by Ctrl-C, a
`logout`, a revoked key, when it was idle, and, if it came with `mount`, with its last view. End of file on standard
input is none of these: `echo secret | ssh gateway mount p` is a fair way to unlock.

Ending takes its time and waits for nothing without a limit; requests are answered meanwhile, or refused.
"""

from __future__ import annotations

import contextlib
import os
import socket

from gateway import errors
from gateway.audit.reasons import REASONS
from gateway.base.clock import boottime, milliseconds_since
from gateway.identity.names import ProjectName
from gateway.sandbox import paths
from gateway.session import layout, protocol
from gateway.session.spec import Spec
from gateway.warden import hangup, mounts, preloading, server
from gateway.warden.activity import SESSION, Limits
from gateway.warden.holders.authority import Authority
from gateway.warden.holders.channel import OwnChannel
from gateway.warden.holders.holders import Holders
from gateway.warden.idle import Idle
from gateway.warden.loop import Loop
from gateway.warden.programs import processes
from gateway.warden.programs.programs import Programs
from gateway.warden.programs.workspaces import Workspaces
from gateway.warden.records import Journal, lease_holder
from gateway.warden.requests import Requests
from gateway.warden.tracking.trackers import Following
from gateway.warden.views.view import View
from gateway.warden.views.views import Views

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
        self._programs = Programs(
            self._loop,
            spec.grace,
            uses=lambda program, at: self._holders.worked(program, at),
            window=lambda: self._idle.window(),
        )
        self._holders = Holders(self._loop, self._programs, self._lock, self.end, self._show)
        self._audience = self._holders.audience
        self.journal = Journal(spec, self._audience.failed)
        self._views = Views(
            self._loop, self._programs, self.journal, self._audience, self._lock_begun, self._lock_ended
        )
        self._status: int | None = None
        self._at_end: list[Callable[[], None]] = []
        self._has_ended = False
        self._reserve = server.Reserve(_RESERVE)
        self._own = OwnChannel(self._loop, spec, self.journal)
        self._idle = Idle(
            self._loop,
            Limits(session=spec.idle.session, view=spec.idle.view, warning=spec.idle.warning),
            self._own.who.origin,
            self._audience,
            look=self._look,
            lock=lambda name: self._lock(ProjectName(name), "idle-view"),
            leave=lambda name: self._holders.leave(self._holders.named(name), "idle-session"),
            close=lambda: self.end("idle-session"),
        )
        self._following = Following(self._loop, seen=self._holders.files_used, record=self.journal.record)
        self._holders.begin(self._own, spec.home.owner, self.journal, self._idle)

    def run(self) -> int:
        """Open the session, hold it to its end, and return its exit status."""
        mounts.prepare()
        hangup.watch(self._loop, self._spec, self.end)
        try:
            if first := self._spec.anchor.first:
                with first:
                    self.unlock(first, None)
            else:
                self._open()
        except errors.EncError as error:
            self._never_opened(error)
        self._loop.run()
        return self._status or 0

    def _open(self) -> None:
        """Let the world reach the session. Raises Misconfigured."""
        try:
            workspaces = Workspaces(self._loop, self._programs, self.journal.record)
            authority = Authority(self._spec.home, lambda: self._holders)
            requests = Requests(self, self._spec, authority, self._holders, self._views, self._programs, workspaces)
            server.Server(self._loop, os.path.join(paths.SESSION, layout.SOCKET), requests.answer, self._reserve)
        except OSError as error:
            raise errors.Misconfigured("the gateway cannot write its run directory", error.strerror) from error
        self._publish()
        anchor = self._spec.anchor
        self.journal.record("session-opened", anchor=anchor.name)
        self._idle.start()
        self._loop.at(0, self._watch_keys)
        self._loop.at(0, self._follow)
        if anchor.hangup is None and not anchor.first:
            self._own.say.opened()
        self._own.opened()

    def _watch_keys(self) -> None:
        from gateway.warden import key_watch  # once the session is open: nobody waits for it

        key_watch.begin(self._loop, self._spec, self._programs, self.journal, self._holders)
        if self._spec.cluster:
            from gateway.warden import cluster_watch

            cluster_watch.begin(self._loop, self._spec, self._spec.cluster, self.end)

    def _follow(self) -> None:
        preloading.preload()
        self._following.begin()
        for view in self._views.live():
            self._following.add(view)

    @property
    def is_ending(self) -> bool:
        return self._status is not None

    def _publish(self) -> None:
        """Show what is there now. Raises Misconfigured."""
        self.journal.publish(self._views.live(), self._holders.records())

    def _show(self) -> None:
        """The same, for what is so whether it can be shown or not."""
        if self._status is None:
            try:
                self._publish()
            except errors.EncError as error:
                self._audience.failed(error)

    def unlock(self, request: protocol.Unlock, front: socket.socket | None) -> None:
        """Begin to unlock; the answer comes when gocryptfs serves or ends."""
        began = boottime()
        view = View(self._loop, request.project, shares_disk=self._spec.cluster is not None)
        self._views.add(view)
        try:
            self._holders.hold(view.project, request)
        except errors.EncError:
            self._views.drop(view)
            raise
        view.unlock(
            request,
            lease_holder(self._spec),
            self._spec.quota,
            self._spec.hard_links,
            unlocked=lambda error: self._unlocked(view, error, began, front, request),
            died=lambda: self._views.lock(view, "failed"),
        )

    def _unlocked(
        self,
        view: View,
        error: errors.EncError | None,
        began: float,
        front: socket.socket | None,
        request: protocol.Unlock,
    ) -> None:
        if error:
            self._views.drop(view)
            self._holders.dropped(view.project)
            self.journal.record("unlock-failed", project=view.project, reason=error.slug)
            if front:
                server.reply(front, protocol.failed(error))
                self._holders.leave_if_done()
            else:
                self._never_opened(error)
            return
        try:
            if not self._holders.holding(view.project):
                raise errors.Busy("the channel that was to hold it has ended")
            if front:
                self._publish()
            else:
                self._open()
        except errors.EncError as cannot_be_shown:
            self.journal.record("unlocked", **view.opened_with(), took_ms=milliseconds_since(began))
            self._take_back(view, cannot_be_shown, front)
            return
        self._idle.add(view.project, request.origin, self._spec.idle.allowed(view.idle_limit))
        self._following.add(view)
        self.journal.record("unlocked", **view.opened_with(), took_ms=milliseconds_since(began))
        if front:
            server.reply(front, protocol.Done())
        self._audience.unlocked(view.project, self._holders.prompt_of(request.origin))

    def set_limit(self, project: ProjectName, seconds: int) -> None:
        """From now on lock it after `seconds` without use, or what the gateway allows. Raises NotUnlocked, Busy."""
        self._views.usable(project)
        self._idle.set_limit(project, self._spec.idle.allowed(seconds))

    def _take_back(self, view: View, error: errors.EncError, front: socket.socket | None) -> None:
        """Lock a view that nobody would find."""
        self._audience.failed(error)
        if front:
            self._views.lock(view, "failed", told=lambda _: server.reply(front, protocol.failed(error)))
        else:
            self.end("failed")

    def _never_opened(self, error: errors.EncError) -> None:
        self._own.never_opened(error)
        self._status = error.code
        self._loop.stop()

    def _look(self) -> None:
        """Note what has kept the session until now: file I/O, and programs that the user runs and that do something."""
        self._following.look()
        self._holders.look()
        self._programs.look()

    def _lock(self, project: ProjectName, reason: str) -> None:
        """Lock it for all."""
        with contextlib.suppress(errors.NotUnlocked):  # it has been locked meanwhile
            self._views.lock(self._views.live_at(project), reason)

    def _lock_begun(self, project: ProjectName) -> None:
        self._following.remove(project)
        self._idle.remove(project)
        self._reserve.release()

    def _lock_ended(self, project: ProjectName, reason: str) -> None:
        """The session goes on, unless all its holders were there for the view alone."""
        self._reserve.refill()
        if self._status is None:
            self._show()
            self._holders.locked(project, reason)

    def when_ended(self, act: Callable[[], None]) -> None:
        """At once, or when the session has ended, if that is under way."""
        if not self.is_ending or self._has_ended:
            act()
        else:
            self._at_end.append(act)

    def end(self, reason: str, told: Callable[[], None] | None = None) -> None:
        """Lock everything and end the session, for all; `told`, if any, is called when that is done."""
        begins = not self.is_ending
        if begins:
            self._status = 0 if REASONS[reason].asked_for else errors.Busy.code
        if told:
            self._at_end.append(told)
        if begins:
            self._loop.follow(self._end_everything(reason), lambda _: self._loop.stop())

    def _end_everything(self, reason: str) -> Steps[None]:
        self._reserve.release()
        self._holders.elsewhere.leave(reason)
        yield from self._views.end(reason)
        self._audience.closed(reason)
        yield from processes.kill_the_rest()
        yield from self._holders.elsewhere.has_left()
        if self.journal.retire():
            self.journal.record("session-closed", reason=reason)
        self.journal.forget()
        self._has_ended = True
        for act in self._at_end:
            act()
        self._holders.end(self._status or 0)

    def report(self) -> dict[str, object]:
        """What `status` shows of us beside the record."""
        self._programs.look()
        views = {
            view.project: {"locking": True} if view.is_locking else self._idle.report(view.project)
            for view in self._views.live()
        }
        programs = {"programs": self._programs.labels(), "attached": self._programs.report()}
        return {**self._idle.report(SESSION), **programs, "views": views, "holders": self._holders.report()}

    def fail(self, fault: Exception) -> int:
        """Lock after a fault of ours. The audit gets its kind and place, never its text, which could quote a name."""
        self.journal.record("fault", **errors.fault_fields(fault))
        self._audience.failed(errors.Internal("a fault of the gateway ended this session", "the audit log says where"))
        self.end("failed")
        with contextlib.suppress(Exception):  # a second one: with us, the kernel ends everything in the session
            self._loop.run()
        return errors.Internal.code

    def finish(self, status: int) -> None:
        """The last word, to the channel that the session began with if it is still there."""
        self._own.end(status, keep=True)
