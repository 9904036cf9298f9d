"""The life of a session: it opens, answers requests, and ends when what holds it ends.

What ends it: the channel (its pipes or terminal hang up), the end of the prompt that started it, bubblewrap's death,
SIGTERM, Ctrl-C, a `logout`, a revoked key, want of use, and, when a `mount` holds it, the end of its last view. End of
file on standard input is none of these: `echo secret | ssh gateway mount p` is a fair way to unlock.
"""

from __future__ import annotations

import os
import signal
import socket

from gateway import errors
from gateway.audit.reasons import REASONS
from gateway.base import json, syscalls
from gateway.base.clock import boottime, milliseconds_since, utc_now
from gateway.identity.names import ProjectName
from gateway.sandbox import paths, transfer
from gateway.session import layout, protocol, registry
from gateway.session.spec import Spec, read_spec
from gateway.vault.lease import LeaseHolder
from gateway.warden import execution, hangup, mounts, processes, server
from gateway.warden.activity import SESSION, Limits
from gateway.warden.idle import Idle
from gateway.warden.loop import Loop
from gateway.warden.messages import Messages
from gateway.warden.programs import Programs
from gateway.warden.records import Journal
from gateway.warden.tracking.trackers import Following
from gateway.warden.view import View

PRELOADED = (
    *("binascii", "encodings.ascii", "json", "gateway.sandbox.limits", "gateway.vault.slots"),
    *("gateway.warden.key_watch", "gateway.warden.tracking.tracker"),
)
"""Modules that are imported where they are first needed, to save time. An upgrade under a live session replaces or
removes their files, so a session loads them as soon as it is open.
"""


class Warden:
    """One session, from its Spec to its end."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._loop = Loop()
        self._messages = Messages(spec.id, spec.anchor.as_json)
        self.journal = Journal(spec, self._messages.failed)
        self._programs = Programs(
            self._loop, spec.grace, runs=lambda program: self._idle.touch("run", program.origin, program.view)
        )
        self._views: dict[ProjectName, View] = {}
        self._status: int | None = None
        self._origin = f"{spec.caller.address}:{spec.caller.port}"
        self._idle = Idle(
            self._loop,
            Limits(session=spec.idle.session, view=spec.idle.view, warning=spec.idle.warning),
            self._origin,
            self._messages,
            look=self._look,
            lock=lambda name: self._lock(self._views[ProjectName(name)], "idle-view"),
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
        if first := self._spec.anchor.first:
            with first:
                self._unlock(first, None)
        else:
            self._open()
        self._loop.run()
        return self._status or 0

    def _open(self) -> None:
        """Let the world reach the session."""
        path = os.path.join(paths.SESSION, layout.SOCKET)
        server.serve(self._loop, path, self._spec.caller.principal, self._answer)
        anchor = self._spec.anchor
        self.journal.record("session-opened", anchor=anchor.name)
        self._publish()
        self._idle.start()
        self._loop.at(0, self._follow)
        if anchor.hangup is None and not anchor.first:
            self._messages.opened()
        if anchor.ready is not None:
            os.write(anchor.ready, b"1")
            os.close(anchor.ready)

    def _follow(self) -> None:
        for name in PRELOADED:
            __import__(name)
        keys, caller = os.path.join(paths.KEYS, self._spec.keys), self._spec.caller
        self._following.begin(keys, caller.blob, caller.principal, lambda: self._end("revoked"))
        for view in self._views.values():
            self._following.add(view)

    def _publish(self) -> None:
        self.journal.publish(view for view in self._views.values() if view.since)

    def _answer(self, request: protocol.Request, front: socket.socket) -> None:
        """Carry out one request. Attach and Unlock are answered later, the others at once."""
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
            case protocol.Ask():
                server.reply(front, protocol.State(report=json.dumps(self._report())))
            case protocol.Attach() if request.program in transfer.PROGRAMS:
                execution.attach(self._programs, request, front)
            case protocol.Execute() if (request.terminal is None) != (request.stdio is None):
                self._require_view(request.project)
                execution.start(self._programs, request, front)
            case _:
                raise errors.Internal("the request does not fit the session's protocol")

    def _unlock(self, request: protocol.Unlock, front: socket.socket | None) -> None:
        """Begin to unlock; the answer comes when gocryptfs serves or ends."""
        project = request.project
        began = boottime()
        holder = LeaseHolder(session=self._spec.id, since=utc_now(), address=self._spec.caller.address)
        try:
            view = View(self._loop, project, holder, self._spec.quota)
        except errors.EncError as error:
            if front:
                raise
            self._never_opened(error)
            return
        self._views[project] = view
        view.unlock(
            request,
            unlocked=lambda error: self._unlocked(view, error, began, front, request.origin),
            died=lambda: self._lock(view, "failed"),
        )

    def _is_prompt(self, origin: str) -> bool:
        """Whether a request came from the prompt that shares our terminal, where its command says what came of it."""
        return self._spec.anchor.name == "prompt" and origin == self._origin

    def _unlocked(
        self, view: View, error: errors.EncError | None, began: float, front: socket.socket | None, origin: str
    ) -> None:
        if error:
            del self._views[view.project]
            self.journal.record("unlock-failed", project=view.project, reason=error.slug)
            if front:
                server.reply(front, protocol.failed(error))
            else:
                self._never_opened(error)
            return
        if front:
            self._publish()
        else:
            self._open()
        limit = min(view.idle_limit, max(self._spec.idle.view, self._spec.idle.view_longest))
        self._idle.add(view.project, self._origin, limit)
        self._following.add(view)
        self.journal.record("unlocked", project=view.project, took_ms=milliseconds_since(began))
        if front:
            server.reply(front, protocol.Done())
        if not self._is_prompt(origin):
            self._messages.unlocked(view.project)

    def _never_opened(self, error: errors.EncError) -> None:
        self._messages.failed(error)
        self._finish(error.code)

    def _look(self) -> None:
        """Note what has kept the session until now: file I/O, and programs that the user runs, whatever they do."""
        self._following.look()
        self._programs.note_running()

    def _require_view(self, project: ProjectName) -> View:
        view = self._views.get(project)
        if view is None or not view.since:
            raise errors.NotUnlocked(f"{project} is not unlocked", f"`mount {project}` unlocks it")
        return view

    def _lock_one(self, request: protocol.Lock, front: socket.socket) -> None:
        view = self._require_view(request.project)
        remains = self._lock(view, "unmount", self._is_prompt(request.origin))
        server.reply(front, protocol.failed(_incomplete(view.project, remains)) if remains else protocol.Done())

    def _lock(self, view: View, reason: str, quiet: bool = False) -> str:
        """Lock one view; the session goes on, unless a `mount` holds it and this was the last one.

        Returns what could not be ended, for it is stuck in the kernel: then it is not `locked` that is recorded.
        """
        began = boottime()
        self._following.remove(view.project)
        self._idle.remove(view.project)
        forced = view.lock(self._programs)
        del self._views[view.project]
        if remains := view.remains(self._programs):
            self.journal.record(
                "lock-incomplete",
                project=view.project,
                reason=reason,
                remains=remains,
                took_ms=milliseconds_since(began),
            )
            self._messages.failed(_incomplete(view.project, remains))
            view.when_gone(lambda: self._locked(view, reason, True, began, quiet))
        else:
            self._locked(view, reason, forced, began, quiet)
        if self._status is None:
            self._publish()
            if self._spec.anchor.name == "mount" and not self._views:
                self._end(reason)
        return remains

    def _locked(self, view: View, reason: str, forced: bool, began: float, quiet: bool) -> None:
        self.journal.record(
            "locked", project=view.project, reason=reason, forced=forced, took_ms=milliseconds_since(began)
        )
        if not quiet:
            self._messages.locked(view.project, reason)

    def _end(self, reason: str, front: socket.socket | None = None) -> None:
        """Lock everything and end the session; `front`, if any, is told when that is done."""
        if self._status is not None:
            return
        self._finish(0 if REASONS[reason].asked_for else errors.Busy.code)
        opened = os.path.exists(os.path.join(paths.SESSION, layout.RECORD))
        self._programs.stop(self._programs.all())
        for view in list(self._views.values()):
            if view.project not in self._views:  # its gocryptfs died while another one was being locked
                continue
            if view.since:
                self._lock(view, reason)
            else:
                view.abandon()
        self._kill_the_rest()
        registry.retire(paths.SESSION)
        if opened:
            self.journal.record("session-closed", reason=reason)
        registry.forget(paths.SESSION)
        if front:
            server.reply(front, protocol.Done())

    def _report(self) -> dict[str, object]:
        """What `status` shows of us beside the record."""
        self._programs.note_running()
        views = {view.project: self._idle.report(view.project) for view in self._views.values() if view.since}
        return {**self._idle.report(SESSION), "programs": self._programs.labels(), "views": views}

    def _finish(self, status: int) -> None:
        self._status = status
        self._loop.stop()

    def _kill_the_rest(self) -> None:
        """Nothing outlives the session; the kernel would see to it with our own end, but `locked` is said before."""
        for pid in processes.all_but(()):
            processes.kill(pid, signal.SIGKILL)
        self._loop.wait_for(lambda: not processes.all_but(()), 5)

    def fail(self, fault: Exception) -> int:
        """Lock after a fault of ours. The audit gets its kind and place, never its text, which could quote a name."""
        self.journal.record("fault", **errors.fault_fields(fault))
        self._messages.failed(errors.Internal("a fault of the gateway ended this session", "the audit log says where"))
        self._end("failed")
        return errors.Internal.code


def _incomplete(project: str, remains: str) -> errors.Internal:
    hint = "it ends when the gateway's disk answers again"
    return errors.Internal(f"{project} is no longer to be seen, but its {remains} hangs", hint)


def main(spec_fd: int) -> int:
    """The warden's whole run: the one place where the unforeseen ends up. It locks what it can and returns 70."""
    syscalls.drop_inheritable_capabilities()
    syscalls.disable_core_dumps()
    warden = Warden(read_spec(spec_fd))
    try:
        status = warden.run()
    except Exception as fault:
        status = warden.fail(fault)
    warden.journal.result(status)
    return status
