"""Idle limits put to work: the clock of `gateway.warden.activity`, and what is said and done when it strikes."""

from __future__ import annotations

from gateway.warden.activity import SESSION, Activity, Expired, Limits
from gateway.warden.loop import Loop, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.warden.voice import Voice


class Idle:
    """`lock(view)` and `close()` are called when a view or the session has been idle for its limit."""

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        by: str,
        voice: Voice,
        lock: Callable[[str], None],
        close: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._voice = voice
        self._lock = lock
        self._close = close
        self._activity = Activity(limits, now(), by)
        self._planned = float("inf")
        self._said: set[str] = set()

    def start(self) -> None:
        """From here on the limits count."""
        self._plan()

    def add(self, view: str, by: str, limit: int) -> None:
        self._activity.add(view, now(), by, limit)
        self._plan()

    def remove(self, view: str) -> None:
        self._activity.remove(view)
        self._said.discard(view)

    def touch(self, kind: str, by: str, view: str = SESSION) -> None:
        """Note activity, and say so to whoever was warned."""
        for name in self._activity.touch(now(), kind, by, view):
            if name in self._said:
                self._said.remove(name)
                self._voice.relieved(name)

    def report(self, name: str) -> dict[str, object]:
        """Last activity of a view or the session: what, by whom, how many seconds ago, and in how many it ends."""
        subject = self._activity.subjects[name]
        moment = now()
        return {
            "last_activity": subject.kind,
            "by": subject.by,
            "idle": round(moment - subject.last),
            "locks_in": max(0, round(subject.ends - moment)),
        }

    def _plan(self) -> None:
        """One timer is enough: activity only ever postpones, and a timer that comes too early plans the next."""
        due = self._activity.next()
        if due < self._planned:
            self._planned = due
            self._loop.at(max(0.0, due - now()), self._strike)

    def _strike(self) -> None:
        self._planned = float("inf")
        for one in self._activity.due(now()):
            if not isinstance(one, Expired):
                if one.name != SESSION or not self._said:  # what keeps a view keeps the session, too
                    self._said.add(one.name)
                    self._voice.warning(one.name, one.seconds)
            elif one.name == SESSION:
                self._close()
            else:
                self._lock(one.name)
        self._plan()
