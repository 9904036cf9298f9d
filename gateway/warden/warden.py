"""The life of a session: it opens, answers requests, and ends when what holds it ends.

What ends it: the channel (its pipes or terminal hang up), the leash (a prompt that started it), bubblewrap's death,
SIGTERM, Ctrl-C, a `logout`, a revoked key, want of use, and, when a `mount` holds it, the end of its last view. End of
file on standard input is none of these: `echo secret | ssh gateway mount p` is a fair way to unlock.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat

from gateway import errors, launch, protocol, sandbox, sessions, syscalls, vaults
from gateway.audit import AuditLog
from gateway.names import Principal, ProjectName, SessionId, SlotName
from gateway.warden import mounts, processes
from gateway.warden.activity import SESSION, Limits
from gateway.warden.idle import Idle
from gateway.warden.loop import HANGUP, READ, Loop, now
from gateway.warden.programs import Programs
from gateway.warden.view import View
from gateway.warden.voice import Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.warden.tracker import Tracker
    from gateway.warden.watcher import Watcher

_ASKED_FOR = ("unmount", "logout")
"""Reasons for which a held session ends with 0: its user wanted it so."""


class Warden:
    """One session, from its Spec to its end."""

    def __init__(self, spec: launch.Spec) -> None:
        self._spec = spec
        self._loop = Loop()
        self._voice = Voice(spec.id, spec.json)
        self._programs = Programs(self._loop, spec.grace)
        self._views: dict[ProjectName, View] = {}
        self._trackers: dict[ProjectName, Tracker] = {}
        self._watcher: Watcher | None = None
        self._status: int | None = None
        self._origin = f"{spec.address}:{spec.port}"
        self._idle = Idle(
            self._loop,
            Limits(session=spec.idle_session, view=spec.idle_view, warning=spec.idle_warning),
            self._origin,
            self._voice,
            lock=lambda name: self._lock(self._views[ProjectName(name)], "idle-view"),
            close=lambda: self._end("idle-session"),
        )
        self._following = False
        self._pid = _host_pid(spec.status_fd)
        self._since = vaults.now()
        self._audit = AuditLog(
            os.path.join(sandbox.AUDIT, spec.audit_name),
            spec.syslog,
            request=spec.request,
            session=spec.id,
            principal=spec.principal,
            fingerprint=spec.fingerprint,
            address=spec.address,
            port=spec.port,
        )

    def run(self) -> int:
        """Open the session, hold it to its end, and return its exit status."""
        mounts.prepare()
        self._watch_anchors()
        if self._spec.project:
            first = protocol.Unlock(
                principal=Principal(self._spec.principal),
                origin=self._origin,
                project=ProjectName.of(self._spec.project),
                slot=SlotName.of(self._spec.slot),
            )
            self._unlock(first, [self._spec.secret_fd, self._spec.turn_fd], None)
        else:
            self._open()
        self._loop.run()
        return self._status or 0

    def _watch_anchors(self) -> None:
        for number, reason in (
            (signal.SIGINT, "logout"),
            (signal.SIGHUP, "hangup"),
            (signal.SIGTERM, "shutdown"),
        ):
            self._loop.on_signal(number, lambda reason=reason: self._end(reason))  # type: ignore[misc]
        self._loop.watch(self._spec.status_fd, HANGUP, lambda _: self._end("killed"))
        if self._spec.monitor_fd != launch.NO_FD:
            self._loop.watch(self._spec.monitor_fd, READ, lambda _: self._end("hangup"))
        if self._spec.leash_fd != launch.NO_FD:
            self._loop.watch(self._spec.leash_fd, HANGUP, lambda _: self._end("hangup"))
            return
        for fd in (0, 1, 2):
            if _tells_of_hangup(fd):
                self._loop.watch(fd, HANGUP, lambda _: self._end("hangup"))

    def _open(self) -> None:
        """Let the world reach the session."""
        listening = protocol.listen(os.path.join(sandbox.SESSION, sessions.SOCKET))
        self._loop.watch(listening.fileno(), READ, lambda _: self._accept(listening))
        self._record("session-opened", anchor=self._spec.anchor)
        self._publish()
        self._idle.start()
        self._loop.at(0, self._follow)
        if self._spec.leash_fd == launch.NO_FD and not self._spec.project:
            self._voice.opened()
        if self._spec.ready_fd != launch.NO_FD:
            os.write(self._spec.ready_fd, b"1")
            os.close(self._spec.ready_fd)

    def _follow(self) -> None:
        """Begin to watch the key and the views' file I/O. After the session is open, for pyinotify takes its time."""
        from gateway.warden.revocation import Revocation
        from gateway.warden.watcher import Watcher

        try:
            self._watcher = Watcher(self._loop, self._overflowed)
        except OSError as error:  # fs.inotify.max_user_instances: the counters and polling take over
            self._record("tracking", reason="no-instance", error=error.strerror)
        path = os.path.join(sandbox.KEYS, self._spec.keys_name)
        Revocation(self._loop, self._watcher, path, self._spec.blob, self._spec.principal, lambda: self._end("revoked"))
        self._following = True
        for view in self._views.values():
            self._track(view)

    def _track(self, view: View) -> None:
        """Follow the file I/O of a live view."""
        from gateway.warden.tracker import Tracker

        if not view.since or not self._following or view.project in self._trackers:
            return
        project = view.project
        self._trackers[project] = Tracker(
            self._loop,
            self._watcher,
            mounts.path(project),
            view.pid,
            seen=lambda kind: self._idle.touch(kind, self._programs.labels(), project),
            incomplete=lambda reason: self._record("tracking", project=project, reason=reason),
        )

    def _overflowed(self) -> None:
        for tracker in self._trackers.values():
            tracker.overflowed()

    def _publish(self) -> None:
        live = (sessions.View(project=view.project, since=view.since) for view in self._views.values() if view.since)
        record = sessions.Session(
            id=SessionId(self._spec.id),
            principal=Principal(self._spec.principal),
            fingerprint=self._spec.fingerprint,
            address=self._spec.address,
            port=self._spec.port,
            connection=self._spec.connection,
            anchor=self._spec.anchor,
            since=self._since,
            pid=self._pid,
            views=tuple(live),
        )
        sessions.publish(sandbox.SESSION, record)

    def _accept(self, listening: socket.socket) -> None:
        front, _ = listening.accept()
        front.settimeout(5)
        self._loop.watch(front.fileno(), READ, lambda _: self._serve(front))

    def _serve(self, front: socket.socket) -> None:
        """One request of a front. Attach keeps the socket; for the others it is closed with the answer."""
        self._loop.unwatch(front.fileno())
        try:
            received = protocol.receive(front)
        except (protocol.Malformed, OSError):
            received = None
        if received is None:
            front.close()
            return
        request, fds = received
        try:
            self._answer(request, fds, front)
        except errors.EncError as error:
            for fd in fds:
                os.close(fd)
            _reply(front, protocol.failed(error))

    def _answer(self, request: protocol.Message, fds: list[int], front: socket.socket) -> None:
        if not isinstance(request, protocol.Request) or request.principal != self._spec.principal:
            raise errors.NotYours("this session is not yours")
        if not isinstance(request, protocol.Ask):
            named = getattr(request, "project", SESSION)
            self._idle.touch("line" if isinstance(request, protocol.Touch) else "command", request.origin, named)
        match request:
            case protocol.Unlock() if len(fds) == 2:
                self._unlock(request, fds, front)
            case protocol.Lock():
                self._lock_one(request.project, front)
            case protocol.Close() if request.reason in protocol.CLOSE_REASONS:
                self._end(request.reason, front)
            case protocol.Touch():
                _reply(front, protocol.Done())
            case protocol.Ask():
                _reply(front, protocol.State(report=json.dumps(self._report())))
            case protocol.Attach() if len(fds) == 3 and request.program in sandbox.PROGRAMS:
                sandbox.require_program(request.program)
                self._programs.start(request, fds, front)
                for fd in fds:
                    os.close(fd)
            case _:
                raise errors.Internal("the request does not fit the session's protocol")

    def _unlock(self, request: protocol.Unlock, fds: list[int], front: socket.socket | None) -> None:
        """Begin to unlock; the answer comes when gocryptfs serves or ends."""
        project = request.project
        began = now()
        holder = vaults.Holder(session=self._spec.id, since=vaults.now(), address=self._spec.address)
        try:
            view = View(self._loop, project, holder)
        except errors.EncError as error:
            if front:
                raise
            self._never_opened(error)
            return
        self._views[project] = view
        secret, turn = fds
        view.unlock(
            request.slot,
            secret,
            turn,
            unlocked=lambda error: self._unlocked(view, error, began, front),
            died=lambda: self._lock(view, "failed"),
        )

    def _unlocked(self, view: View, error: errors.EncError | None, began: float, front: socket.socket | None) -> None:
        if error:
            del self._views[view.project]
            self._record("unlock-failed", project=view.project, reason=error.slug)
            if front:
                _reply(front, protocol.failed(error))
            else:
                self._never_opened(error)
            return
        if front:
            self._publish()
        else:
            self._open()
        limit = min(view.idle_limit, max(self._spec.idle_view, self._spec.idle_view_longest))
        self._idle.add(view.project, self._origin, limit)
        self._track(view)
        self._record("unlocked", project=view.project, took_ms=round((now() - began) * 1000))
        if front:
            _reply(front, protocol.Done())
        self._voice.unlocked(view.project)

    def _record(self, event: str, **fields: object) -> None:
        """Write to the audit. What begins is recorded by the front or refused; to lock, a full disk is no hindrance."""
        try:
            self._audit.write(event, **fields)
        except errors.Misconfigured as error:
            self._voice.failed(error)

    def _never_opened(self, error: errors.EncError) -> None:
        self._voice.failed(error)
        self._finish(error.code)

    def _lock_one(self, project: ProjectName, front: socket.socket) -> None:
        view = self._views.get(project)
        if view is None or not view.since:
            raise errors.NotUnlocked(f"{project} is not unlocked")
        self._lock(view, "unmount")
        _reply(front, protocol.Done())

    def _lock(self, view: View, reason: str) -> None:
        """Lock one view; the session goes on, unless a `mount` holds it and this was the last one."""
        began = now()
        if tracker := self._trackers.pop(view.project, None):
            tracker.close()
        self._idle.remove(view.project)
        forced = view.lock(self._programs)
        del self._views[view.project]
        self._record(
            "locked", project=view.project, reason=reason, forced=forced, took_ms=round((now() - began) * 1000)
        )
        self._voice.locked(view.project, reason)
        if self._status is None:
            self._publish()
            if self._spec.anchor == "mount" and not self._views:
                self._end(reason)

    def _end(self, reason: str, front: socket.socket | None = None) -> None:
        """Lock everything and end the session; `front`, if any, is told when that is done."""
        if self._status is not None:
            return
        self._finish(0 if reason in _ASKED_FOR else errors.Busy.code)
        opened = os.path.exists(os.path.join(sandbox.SESSION, sessions.RECORD))
        self._programs.stop(self._programs.all())
        for view in list(self._views.values()):
            if view.since:
                self._lock(view, reason)
            else:
                view.abandon()
        self._kill_the_rest()
        sessions.retire(sandbox.SESSION)
        if opened:
            self._record("session-closed", reason=reason)
        if front:
            _reply(front, protocol.Done())

    def _report(self) -> dict[str, object]:
        """What `status` shows of us beside the record."""
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
        self._record("fault", **errors.place(fault))
        self._voice.failed(errors.Internal("a fault of the gateway ended this session", "the audit log says where"))
        self._end("failed")
        return errors.Internal.code

    def record_result(self, status: int) -> None:
        """The end of the request that the session answered; a prompt's session answers none."""
        if self._spec.leash_fd != launch.NO_FD:
            return
        took = round((now() - self._spec.began) * 1000)
        self._record("result", status=status, took_ms=took)


def _host_pid(status_fd: int) -> int:
    """Our pid as the host sees it, from bwrap's --json-status-fd, which stays open as long as bwrap lives."""
    return int(json.loads(os.read(status_fd, 4096).splitlines()[0])["child-pid"])


def _tells_of_hangup(fd: int) -> bool:
    """Whether poll(2) on `fd` tells the end of the channel: a terminal, or a pipe or socket that we write to."""
    mode = os.fstat(fd).st_mode
    if os.isatty(fd):
        return True
    return fd != 0 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _reply(front: socket.socket, message: protocol.Message) -> None:
    try:
        protocol.send(front, message)
    except OSError:  # it did not wait for the answer
        pass
    finally:
        front.close()


def main(spec_fd: int) -> int:
    """The warden's whole run: the one place where the unforeseen ends up. It locks what it can and returns 70."""
    syscalls.drop_inheritable_capabilities()
    syscalls.leave_no_core_dumps()
    warden = Warden(launch.read_spec(spec_fd))
    try:
        status = warden.run()
    except Exception as fault:
        status = warden.fail(fault)
    warden.record_result(status)
    return status
