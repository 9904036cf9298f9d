"""All views of a session, and their locks: any number at once, each within its time, and none waits for another."""

from __future__ import annotations

from gateway.base.clock import boottime, milliseconds_since
from gateway.errors import Busy, Internal, NotUnlocked
from gateway.warden import mounts
from gateway.warden.loop import HANGUP, Loop
from gateway.warden.programs.programs import REVOKED_GRACE
from gateway.warden.records import Journal
from gateway.warden.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.identity.names import ProjectName
    from gateway.warden.holders.audience import Audience
    from gateway.warden.holders.holder import Holder
    from gateway.warden.loop import Steps
    from gateway.warden.messages import Messages
    from gateway.warden.programs.programs import Programs

_ORDERLY = 1.5
"""Seconds beyond the programs' grace in which a lock is tried in order; after that gocryptfs is killed."""
_FORCED = 1.5
"""Seconds beyond that in which force has to have worked on what is not stuck in the kernel."""


class Views:
    """`begun(project)` is called when the lock of a view begins, and `ended(project, reason)` when it has ended."""

    def __init__(
        self,
        loop: Loop,
        programs: Programs,
        journal: Journal,
        audience: Audience,
        begun: Callable[[ProjectName], None],
        ended: Callable[[ProjectName, str], None],
    ) -> None:
        self._loop = loop
        self._programs = programs
        self._journal = journal
        self._audience = audience
        self._begun = begun
        self._ended = ended
        self._views: dict[ProjectName, View] = {}
        self._told: dict[ProjectName, list[Callable[[str], object]]] = {}
        self._all_end_by: float | None = None
        loop.watch(mounts.changes(), HANGUP, lambda _: self._lock_what_is_gone())

    def __bool__(self) -> bool:
        return bool(self._views)

    def live(self) -> Iterator[View]:
        """Those that are unlocked, also while they are being locked."""
        return (view for view in self._views.values() if view.since)

    def live_at(self, project: ProjectName) -> View:
        """The one of `project`. Raises NotUnlocked."""
        view = self._views.get(project)
        if view is None or not view.since:
            raise NotUnlocked(f"{project} is not unlocked", f"`mount {project}` unlocks it")
        return view

    def usable(self, project: ProjectName) -> View:
        """The same for what begins to use it. Raises Busy while it is being locked."""
        view = self.live_at(project)
        if view.is_locking:
            raise Busy(f"{project} is being locked", f"`mount {project}` unlocks it again")
        return view

    def add(self, view: View) -> None:
        """Raises Busy when there is one of its project."""
        if other := self._views.get(view.project):
            doing = "is being locked" if other.is_locking else "is unlocked already" if other.since else "is under way"
            raise Busy(f"{view.project} {doing} in this session", "try again in a moment")
        self._views[view.project] = view

    def _lock_what_is_gone(self) -> None:
        """Who has root's power over the session can unmount a view, and what has it open would go on with it."""
        for view in tuple(self.live()):
            if not view.is_locking and not mounts.device(view.project):
                self.lock(view, "failed")

    def drop(self, view: View) -> None:
        """One that never was live."""
        del self._views[view.project]

    def lock(
        self, view: View, reason: str, quiet: Holder | None = None, told: Callable[[str], object] = lambda _: None
    ) -> None:
        """Lock one view. `told` is called when that is done, with what is stuck in the kernel and could not be ended
        ("": nothing); then it is not `locked` that is recorded. `quiet` is told otherwise.
        """
        self._told.setdefault(view.project, []).append(told)
        if view.is_locking:
            return
        began = boottime()
        listeners = [one.say for one in self._audience.of(view.project) if one is not quiet]
        self._begun(view.project)
        if self._all_end_by is None:
            steps = view.lock(self._programs, began + self._programs.grace + _ORDERLY)
        else:
            steps = view.lock(None, self._all_end_by)
        self._loop.follow(steps, lambda forced: self._unmounted(view, reason, forced, began, listeners))

    def _unmounted(self, view: View, reason: str, forced: bool, began: float, listeners: list[Messages]) -> None:
        """Its lock has done what it could."""

        def locked() -> None:
            self._journal.record(
                "locked", project=view.project, reason=reason, forced=forced, took_ms=milliseconds_since(began)
            )
            for one in listeners:
                one.locked(view.project, reason)

        del self._views[view.project]
        if remains := view.remains(self._programs):
            fields = {
                "project": view.project,
                "reason": reason,
                "remains": remains,
                "took_ms": milliseconds_since(began),
            }
            self._journal.record("lock-incomplete", **fields)
            self._audience.failed(incomplete(view.project, remains))
            view.when_gone(locked)
        else:
            locked()
        self._ended(view.project, reason)
        for tell in self._told.pop(view.project):
            tell(remains)

    def end(self, reason: str) -> Steps[None]:
        """Stop all programs, and lock all views at once."""
        grace = REVOKED_GRACE if reason == "revoked" else float(self._programs.grace)
        self._all_end_by = boottime() + grace + _ORDERLY
        yield from self._programs.stop(self._programs.all(), grace)
        for view in tuple(self._views.values()):
            if view.since:
                self.lock(view, reason)
            else:
                view.abandon()
                self.drop(view)
        yield lambda: not self._views, max(0.0, self._all_end_by - boottime()) + _FORCED


def incomplete(project: str, remains: str) -> Internal:
    """The error for a lock that left something."""
    hint = "it ends when the gateway's disk answers again"
    return Internal(f"{project} is no longer to be seen, but its {remains} hangs", hint)
