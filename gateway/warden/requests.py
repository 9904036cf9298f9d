"""What fronts ask of a session: each request carried out at once, or begun, or refused (gateway.session.protocol)."""

from __future__ import annotations

from gateway import errors
from gateway.audit.reasons import REASONS
from gateway.base import json
from gateway.sandbox import transfer
from gateway.session import protocol
from gateway.warden import server
from gateway.warden.activity import SESSION
from gateway.warden.holders.holder import others
from gateway.warden.programs import execution
from gateway.warden.views.views import incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from gateway.session.spec import Spec
    from gateway.warden.holders.authority import Authority
    from gateway.warden.holders.holders import Holders
    from gateway.warden.programs.programs import Programs
    from gateway.warden.programs.workspaces import Workspaces
    from gateway.warden.views.views import Views
    from gateway.warden.warden import Warden


class Requests:
    """`warden` unlocks, ends, and reports."""

    def __init__(
        self,
        warden: Warden,
        spec: Spec,
        authority: Authority,
        holders: Holders,
        views: Views,
        programs: Programs,
        workspaces: Workspaces,
    ) -> None:
        self._warden = warden
        self._authority = authority
        self._spec = spec
        self._holders = holders
        self._views = views
        self._programs = programs
        self._workspaces = workspaces

    def answer(self, request: protocol.Request, front: socket.socket) -> None:
        """Carry out one request: at once, or later what has to wait. Raises what to refuse it with."""
        if self._warden.is_ending and not isinstance(request, server.LOOK_OR_END):
            raise errors.Busy("the session is locking everything and ends", "try again in a moment")
        if self._spec.cluster and not isinstance(request, (*server.LOOK_OR_END, protocol.Touch)):
            from gateway.warden import cluster_watch  # loaded where there is a cluster

            cluster_watch.require_fresh(self._spec, self._spec.cluster)
        self._authority.require(request)
        if not isinstance(request, (protocol.Ask, protocol.Expel)):
            named = getattr(request, "project", SESSION)
            kind = "line" if isinstance(request, protocol.Touch) else "command"
            self._holders.used(self._holders.of(request), kind, request.origin, named)
        match request:
            case protocol.Unlock():
                self._warden.unlock(request, front)
            case protocol.Join() | protocol.Hold() | protocol.Keep():
                self._hold(request, front)
            case protocol.Lock() | protocol.LockForAll():
                self._lock(request, front)
            case protocol.Close() | protocol.CloseForAll() if _is_reason(request.reason):
                self._close(request, front)
            case protocol.Expel() if _is_reason(request.reason):
                self._expel(request, front)
            case protocol.Touch():
                server.reply(front, protocol.Done())
            case protocol.Limit():
                self._warden.set_limit(request.project, request.seconds)
                server.reply(front, protocol.Done())
            case protocol.Ask():
                server.reply(front, protocol.State(report=json.dumps(self._warden.report())))
            case protocol.Attach() if request.program in transfer.PROGRAMS:
                execution.attach(self._programs, request, front, self._authority.shown(request))
            case protocol.Execute() if (request.terminal is None) != (request.stdio is None):
                self._views.usable(request.project)
                execution.start(self._programs, request, front, self._authority.shown(request))
            case protocol.Enter() if (request.stdio is None) == (not request.key):
                self._views.usable(request.project)
                self._workspaces.enter(request, front, self._authority.shown(request))
            case _:
                raise errors.Internal("the request does not fit the session's protocol")

    def _hold(self, request: protocol.Join | protocol.Hold | protocol.Keep, front: socket.socket) -> None:
        """One more holds a project of ours, or our channel one of another session."""
        if isinstance(request, protocol.Keep):
            self._holders.keep(request)
        elif isinstance(request, protocol.Hold):
            self._views.usable(request.project)
            self._holders.join_by(request)
        else:
            self._views.usable(request.project)
            self._holders.join(request, front, self._spec.id)
            return
        server.reply(front, protocol.Done())

    def _lock(self, request: protocol.Lock | protocol.LockForAll, front: socket.socket) -> None:
        """End the caller's hold of a project, and the view with the last."""
        view = self._views.live_at(request.project)
        chosen, quiet = self._holders.meant(request, view.project), self._holders.prompt_of(request.origin)
        stay = [one for one in self._holders.holding(view.project) if one not in chosen]
        if chosen and stay and not view.is_locking and not isinstance(request, protocol.LockForAll):
            self._holders.release(view.project, chosen, "unmount", quiet)
            server.reply(front, protocol.Stays(others=json.dumps(others(stay))))
            return

        def tell(remains: str) -> None:
            answer = protocol.failed(incomplete(request.project, remains)) if remains else protocol.Done()
            self._warden.when_ended(lambda: server.reply(front, answer))

        self._views.lock(view, "unmount", quiet, tell)

    def _expel(self, request: protocol.Expel, front: socket.socket) -> None:
        """End what the member runs and holds. The programs first: they get no grace in which to copy what is left."""
        why = errors.NotUnlocked(f"the program was stopped: {REASONS[request.reason].user}")
        self._programs.expel(
            request.member, why, lambda: self._warden.when_ended(lambda: server.reply(front, protocol.Done()))
        )
        for holder in self._holders:
            if holder.who.principal == request.member:
                self._holders.leave(holder, request.reason)

    def _close(self, request: protocol.Close | protocol.CloseForAll, front: socket.socket) -> None:
        """End what the caller holds, and the session with the last holder."""
        chosen = self._holders.meant(request)
        stay = [one for one in self._holders if one not in chosen]
        if not stay or self._warden.is_ending or isinstance(request, protocol.CloseForAll):
            self._warden.end(request.reason, lambda: server.reply(front, protocol.Done()))
            return
        left = len(chosen)

        def tell() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._warden.when_ended(lambda: server.reply(front, protocol.Stays(others=json.dumps(others(stay)))))

        for one in chosen:
            self._holders.leave(one, request.reason, tell)


def _is_reason(slug: str) -> bool:
    return slug in REASONS and REASONS[slug].in_close
