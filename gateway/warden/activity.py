"""Who has been idle for how long: the rules, without effects.

A view is kept by file I/O in it, by commands that name it, and by what programs do that `run`, `shell` or git started
in it (gateway.warden.programs.usage); the session by any of these, by any command addressed to it, and by lines typed
at its prompt. Times are CLOCK_BOOTTIME, in seconds.
"""

from __future__ import annotations

from gateway.base.records import Record

SESSION = ""
"""The session itself, among the names of views."""


class Limits(Record):
    """Seconds without activity until a view is locked or the session closed, and how long before a warning comes."""

    session: int
    view: int
    warning: int


class Warned(Record):
    """`name` (a view, or SESSION) ends in `seconds` unless something happens."""

    name: str
    seconds: int


class Expired(Record):
    """`name` has been idle for its limit."""

    name: str


class Subject:
    """A view or the session: its limit, its last activity (what, when, by whom), and whether a warning was given."""

    def __init__(self, limit: int, now: float, kind: str, by: str) -> None:
        self.limit = limit
        self.last = now
        self.kind = kind
        self.by = by
        self.warned = False

    @property
    def ends(self) -> float:
        return self.last + self.limit


class Activity:
    """The session's and its views' last activity."""

    def __init__(self, limits: Limits, now: float, by: str) -> None:
        self._limits = limits
        self.subjects = {SESSION: Subject(limits.session, now, "command", by)}

    def add(self, view: str, now: float, by: str, limit: int = 0) -> None:
        """A view was unlocked; `limit` 0 means the usual one."""
        self.subjects[view] = Subject(limit or self._limits.view, now, "command", by)
        self.touch(now, "command", by)

    def set_limit(self, view: str, limit: int) -> None:
        """From its last activity on, a view has another limit."""
        self.subjects[view].limit = limit

    def remove(self, view: str) -> None:
        self.subjects.pop(view, None)

    def touch(self, now: float, kind: str, by: str, view: str = SESSION) -> list[str]:
        """Something happened to the session, and to `view` if it is named. The names whose warning that takes back.

        It may be told late, when something else has happened since.
        """
        relieved = []
        for name in dict.fromkeys((view, SESSION)):
            subject = self.subjects.get(name)
            if subject is None or now < subject.last:
                continue
            subject.last, subject.kind, subject.by = now, kind, by
            if subject.warned:
                subject.warned = False
                relieved.append(name)
        return relieved

    def due(self, now: float) -> list[Warned | Expired]:
        """What is to be said and done at `now`: views first, for a lock may end the session."""
        found: list[Warned | Expired] = []
        for name, subject in sorted(self.subjects.items(), key=lambda item: item[0] == SESSION):
            if now >= subject.ends:
                found.append(Expired(name=name))
            elif not subject.warned and now >= self._warns(subject):
                subject.warned = True
                found.append(Warned(name=name, seconds=round(subject.ends - now)))
        return found

    def shortest_limit(self) -> int:
        return min(subject.limit for subject in self.subjects.values())

    def next(self) -> float:
        """When `due` will have something to say."""
        return min(one.ends if one.warned else self._warns(one) for one in self.subjects.values())

    def _warns(self, subject: Subject) -> float:
        """A limit that is not longer than the warning time has its warning half-way."""
        return subject.ends - min(self._limits.warning, subject.limit / 2)
