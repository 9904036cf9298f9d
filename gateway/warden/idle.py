"""Idle limits put to work: the clock of `gateway.warden.activity`, and what is said and done when it strikes."""

from __future__ import annotations

from gateway.base.clock import boottime
from gateway.warden.activity import SESSION, Activity, Expired, Limits, Warned
from gateway.warden.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.warden.messages import Messages


class Idle:
    """`lock(view)` and `close()` are called when a view or the session has been idle for its limit.

    Before anything is said or done, `look()` has to report what has happened and is not known yet.
    """

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        by: str,
        messages: Messages,
        look: Callable[[], None],
        lock: Callable[[str], object],
        close: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._messages = messages
        self._look = look
        self._lock = lock
        self._close = close
        self._activity = Activity(limits, boottime(), by)
        self._planned = float("inf")
        self._said: set[str] = set()

    def start(self) -> None:
        """From here on the limits count."""
        self._plan()

    def add(self, view: str, by: str, limit: int) -> None:
        self._activity.add(view, boottime(), by, limit)
        self._plan()

    def set_limit(self, view: str, limit: int) -> None:
        self._activity.set_limit(view, limit)
        self._plan()

    def remove(self, view: str) -> None:
        self._activity.remove(view)
        self._said.discard(view)

    def touch(self, kind: str, by: str, view: str = SESSION, at: float | None = None) -> None:
        """Note activity of now, or of `at` (CLOCK_BOOTTIME), and say so to whoever was warned."""
        for name in self._activity.touch(boottime() if at is None else at, kind, by, view):
            if name in self._said:
                self._said.remove(name)
                self._messages.relieved(name)

    def report(self, name: str) -> dict[str, object]:
        """The last activity of a view or the session (what, by whom, when), when it ends, and its limit; in seconds."""
        subject = self._activity.subjects[name]
        moment = boottime()
        return {
            "last_activity": subject.kind,
            "by": subject.by,
            "idle": round(moment - subject.last),
            "locks_in": max(0, round(subject.ends - moment)),
            "limit": subject.limit,
        }

    def window(self) -> float:
        """Seconds between two looks at what programs do: a tenth of the shortest limit, and 1 to 10. A lock comes too
        late by this much at most.
        """
        return min(max(self._activity.shortest_limit() / 10, 1.0), 10.0)

    def _plan(self) -> None:
        """One timer is enough: activity only ever postpones, and a timer that comes too early plans the next."""
        due = self._activity.next()
        if due < self._planned:
            self._planned = due
            self._loop.at(max(0.0, due - boottime()), self._strike)

    def _strike(self) -> None:
        """One lock at a time: it can take seconds, in which whoever else is due may have done something."""
        self._planned = float("inf")
        self._look()
        due = self._activity.due(boottime())
        for one in due:
            if isinstance(one, Warned) and not (one.name == SESSION and self._is_said_of_a_view()):
                self._said.add(one.name)
                self._messages.warning(one.name, one.seconds)
        expired = next((one.name for one in due if isinstance(one, Expired)), None)
        if expired is not None:
            self._messages.idle_for[expired] = self._activity.subjects[expired].limit
        if expired == SESSION:
            self._close()
            return
        if expired is not None:
            self._lock(expired)
        self._plan()

    def _is_said_of_a_view(self) -> bool:
        """Whether somebody was just told that a view ends when the session does: what keeps it keeps the session."""
        subjects = self._activity.subjects
        return any(subjects[name].ends >= subjects[SESSION].ends - 1 for name in self._said if name != SESSION)
