"""What a stretch of the audit log comes to: sessions and views with their ends, logins, refusals, locks.

The log is read once, and what is kept of it does not grow with it: the newest of everything, and how many there were.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable

from gateway.audit.query import Event
from gateway.base.records import Record

MOST = 500
"""Of each that are kept: the newest. `audit show` has all."""
_VIEWS = 4 * MOST
_REMEMBERED = 10_000
"""What may be open at once, and connections that are told from new ones."""


class Span(Record):
    """A session or a view, from `began` to `ended` ("": not in this stretch); `why` it ended."""

    session: str
    principal: str
    fingerprint: str
    address: str
    project: str
    began: str
    ended: str = ""
    why: str = ""


class Logins(Record):
    """What one key did: connections and commands, and when it was there last."""

    principal: str
    fingerprint: str
    connections: int
    commands: int
    refused: int
    last: str


class Count(Record):
    """How often something was so."""

    what: tuple[str, ...]
    times: int


class Spans(Record):
    """How many there were, how many of them have not ended, and the newest of them, in the order of time."""

    count: int
    still_open: int
    newest: tuple[Span, ...]


class Events(Record):
    """How many there were, and the newest of them, in the order of time."""

    count: int
    newest: tuple[Event, ...]


class Summary(Record):
    """Everything is in the order of time, counts by how often."""

    first: str
    last: str
    records: int
    sessions: Spans
    views: Spans
    logins: tuple[Logins, ...]
    refusals: tuple[Count, ...]
    locks: tuple[Count, ...]
    failures: Events
    administration: Events


_FAILURES = frozenset(("unlock-failed", "lock-incomplete", "fault", "tracking"))
_ADMINISTRATION = frozenset(
    ("key-added", "key-revoked", "invited", "enrolled", "approved", "denied", "created", "removed")
)


def of(events: Iterable[Event]) -> Summary:
    """The summary of these events, oldest first."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    return reader.summary()


class _Reader:
    """What was read so far."""

    def __init__(self) -> None:
        self._first = self._last = ""
        self._records = 0
        self._sessions = _Pairs("session-opened", "session-closed", MOST)
        self._views = _Pairs("unlocked", "locked", _VIEWS)
        self._logins: dict[tuple[str, str], Logins] = {}
        self._connections = _Recent()
        self._refusals: Counter[tuple[str, ...]] = Counter()
        self._locks: Counter[tuple[str, ...]] = Counter()
        self._failures = _Newest(_FAILURES)
        self._administration = _Newest(_ADMINISTRATION)

    def take(self, event: Event) -> None:
        self._first = self._first or event.time
        self._last = event.time
        self._records += 1
        for part in (self._sessions, self._views):
            part.take(event, self._first)
        for kind in (self._failures, self._administration):
            kind.take(event)
        if event.decision == "deny":
            self._refusals[event.principal, event.verb or "(no command)", event.reason] += 1
        if event.event in ("locked", "lock-incomplete"):
            self._locks[event.reason,] += 1
        if event.event == "request" and event.fingerprint:
            self._login(event)

    def _login(self, event: Event) -> None:
        """By key. A connection is an address and a port: many commands can share one."""
        key = event.principal, event.fingerprint
        none = Logins(principal=key[0], fingerprint=key[1], connections=0, commands=0, refused=0, last="")
        before = self._logins.get(key, none)
        self._logins[key] = before.replace(
            connections=before.connections + self._connections.is_new((*key, event.address, event.port)),
            commands=before.commands + 1,
            refused=before.refused + (event.decision == "deny"),
            last=event.time,
        )

    def summary(self) -> Summary:
        return Summary(
            first=self._first,
            last=self._last,
            records=self._records,
            sessions=self._sessions.spans(),
            views=self._views.spans(),
            logins=tuple(sorted(self._logins.values(), key=lambda one: -one.commands)),
            refusals=_counted(self._refusals),
            locks=_counted(self._locks),
            failures=self._failures.events(),
            administration=self._administration.events(),
        )


class _Recent:
    """What was there lately; in the end, what was there longest ago is forgotten."""

    def __init__(self) -> None:
        self._there: dict[Hashable, None] = {}

    def is_new(self, one: Hashable) -> bool:
        known = self.forget(one)
        self._there[one] = None
        if len(self._there) > _REMEMBERED:
            del self._there[next(iter(self._there))]
        return not known

    def forget(self, one: Hashable) -> bool:
        """Whether it was there."""
        known = one in self._there
        self._there.pop(one, None)
        return known

    def __len__(self) -> int:
        return len(self._there)


class _Newest:
    """The newest events of some kinds."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._count = 0
        self._kept: deque[Event] = deque(maxlen=MOST)

    def take(self, event: Event) -> None:
        if event.event in self._kinds:
            self._count += 1
            self._kept.append(event)

    def events(self) -> Events:
        return Events(count=self._count, newest=tuple(self._kept))


class _Pairs:
    """What begins with one event and ends with another of the same session and project. One whose beginning is not in
    the stretch is taken to have begun with it.
    """

    def __init__(self, begin: str, end: str, most: int) -> None:
        self._begin, self._end, self._most = begin, end, most
        self._count = 0
        self._open = _Recent()
        self._kept: dict[int, Span] = {}
        self._newest: dict[tuple[str, str], int] = {}

    def take(self, event: Event, first: str) -> None:
        at = (event.session, event.project)
        if event.event == self._begin:
            self._open.is_new(at)
            self._add(at, _span(event, event.time))
        elif event.event == self._end:
            if not self._open.forget(at):
                self._add(at, _span(event, first))
            number = self._newest.get(at, 0)
            if number in self._kept:
                self._kept[number] = self._kept[number].replace(ended=event.time, why=event.reason)

    def _add(self, at: tuple[str, str], span: Span) -> None:
        self._count += 1
        self._kept[self._count] = span
        self._newest[at] = self._count
        if len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            gone = self._kept.pop(oldest)
            if self._newest.get((gone.session, gone.project)) == oldest:
                del self._newest[gone.session, gone.project]

    def spans(self) -> Spans:
        return Spans(count=self._count, still_open=len(self._open), newest=tuple(self._kept.values()))


def _span(event: Event, began: str) -> Span:
    names = ("session", "principal", "fingerprint", "address", "project")
    return Span(began=began, **{name: getattr(event, name) for name in names})


def _counted(counted: Counter[tuple[str, ...]]) -> tuple[Count, ...]:
    return tuple(Count(what=key, times=times) for key, times in counted.most_common())
