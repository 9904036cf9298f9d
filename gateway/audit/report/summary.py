"""Sum up a period of the audit log: sessions and views with their ends, logins, refusals, locks, failures.

The events are read once. Counts are complete, but only the newest records of each kind are kept, so memory does not
grow with the log.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable

from gateway.audit.query import Event
from gateway.base.records import Record

MAX_ROWS = 500
"""Records of each kind that are kept: the newest. `audit show` has all."""
_MAX_VIEWS = 4 * MAX_ROWS
_MAX_REMEMBERED = 10_000
"""Open sessions or views, and connections, that are remembered; beyond that the oldest are forgotten."""


class Span(Record):
    """A session or a view, from `began` to `ended` ("": not in this period). `reason`: a slug of audit.reasons. `host`
    is as an event has it.
    """

    session: str
    principal: str
    fingerprint: str
    address: str
    port: str
    project: str
    began: str
    ended: str = ""
    reason: str = ""
    host: str = ""


class Logins(Record):
    """How many connections and commands one key made, how many were refused, and the time of the last one."""

    principal: str
    fingerprint: str
    connections: int
    commands: int
    refused: int
    last: str


class Count(Record):
    """How many `times` something occurred. `what` names it: one cell of a table each."""

    what: tuple[str, ...]
    times: int


class Spans(Record):
    """How many there were, how many have not ended, and the newest, oldest first."""

    count: int
    still_open: int
    newest: tuple[Span, ...]


class Events(Record):
    """How many there were, and the newest, oldest first."""

    count: int
    newest: tuple[Event, ...]


class Summary(Record):
    """Spans and events are oldest first, logins by commands and counts by times, highest first. `refusals` counts what
    `refused` has the newest of.
    """

    first: str
    last: str
    records: int
    sessions: Spans
    views: Spans
    logins: tuple[Logins, ...]
    refusals: tuple[Count, ...]
    refused: Events
    locks: tuple[Count, ...]
    failures: Events
    administration: Events


_FAILURES = frozenset(("unlock-failed", "lock-incomplete", "fault", "tracking"))
_ADMINISTRATION = frozenset(
    (
        *("key-added", "key-revoked", "invited", "enrolled", "approved", "denied", "created", "removed"),
        *("shared", "accepted", "unshared", "gave-up"),
    )
)


def summarize(events: Iterable[Event]) -> Summary:
    """The summary of `events`, which come oldest first."""
    summarizer = _Summarizer()
    for event in events:
        summarizer.add(event)
    return summarizer.summary()


class _Summarizer:
    def __init__(self) -> None:
        self._first = self._last = ""
        self._records = 0
        self._sessions = _SpanCollector("session-opened", "session-closed", MAX_ROWS)
        self._views = _SpanCollector("unlocked", "locked", _MAX_VIEWS)
        self._logins: dict[tuple[str, str], Logins] = {}
        self._connections = _BoundedSet()
        self._refusals: Counter[tuple[str, ...]] = Counter()
        self._locks: Counter[tuple[str, ...]] = Counter()
        self._refused = _NewestEvents(lambda event: event.decision == "deny")
        self._failures = _NewestEvents(lambda event: event.event in _FAILURES)
        self._administration = _NewestEvents(lambda event: event.event in _ADMINISTRATION)

    def add(self, event: Event) -> None:
        self._first = self._first or event.time
        self._last = event.time
        self._records += 1
        for part in (self._sessions, self._views):
            part.add(event, self._first)
        for kind in (self._refused, self._failures, self._administration):
            kind.add(event)
        if event.decision == "deny":
            self._refusals[event.principal, event.verb or "(no command)", event.reason] += 1
        if event.event in ("locked", "lock-incomplete"):
            self._locks[event.reason,] += 1
        if event.event == "request" and event.fingerprint:
            self._login(event)

    def _login(self, event: Event) -> None:
        """Count a request of a key. An address and a port are one connection, which many commands can share."""
        key = event.principal, event.fingerprint
        none = Logins(principal=key[0], fingerprint=key[1], connections=0, commands=0, refused=0, last="")
        before = self._logins.get(key, none)
        self._logins[key] = before.replace(
            connections=before.connections + self._connections.add((*key, event.address, event.port)),
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
            refusals=_most_common(self._refusals),
            refused=self._refused.events(),
            locks=_most_common(self._locks),
            failures=self._failures.events(),
            administration=self._administration.events(),
        )


class _BoundedSet:
    """A set of limited size: when it is full, what was added longest ago is removed."""

    def __init__(self) -> None:
        self._items: dict[Hashable, None] = {}

    def add(self, one: Hashable) -> bool:
        """Add `one`, or make it the newest again. Returns whether it is new."""
        known = self.remove(one)
        self._items[one] = None
        if len(self._items) > _MAX_REMEMBERED:
            del self._items[next(iter(self._items))]
        return not known

    def remove(self, one: Hashable) -> bool:
        """Returns whether it was in the set."""
        known = one in self._items
        self._items.pop(one, None)
        return known

    def __len__(self) -> int:
        return len(self._items)


class _NewestEvents:
    """Counts the events that are of a kind, and keeps the newest."""

    def __init__(self, is_one: Callable[[Event], bool]) -> None:
        self._is_one = is_one
        self._count = 0
        self._kept: deque[Event] = deque(maxlen=MAX_ROWS)

    def add(self, event: Event) -> None:
        if self._is_one(event):
            self._count += 1
            self._kept.append(event)

    def events(self) -> Events:
        return Events(count=self._count, newest=tuple(self._kept))


class _SpanCollector:
    """Pairs the events `begin` and `end` of the same session and project. A span whose begin event is not in the period
    gets the period's start.
    """

    def __init__(self, begin: str, end: str, most: int) -> None:
        self._begin, self._end, self._most = begin, end, most
        self._count = 0
        self._open = _BoundedSet()
        self._kept: dict[int, Span] = {}
        self._newest: dict[tuple[str, str], int] = {}

    def add(self, event: Event, first: str) -> None:
        at = (event.session, event.project)
        if event.event == self._begin:
            self._open.add(at)
            self._add(at, _span(event, event.time))
        elif event.event == self._end:
            if not self._open.remove(at):
                self._add(at, _span(event, first))
            number = self._newest.get(at, 0)
            if number in self._kept:
                self._kept[number] = self._kept[number].replace(ended=event.time, reason=event.reason)

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
    names = ("session", "host", "principal", "fingerprint", "address", "port", "project")
    return Span(began=began, **{name: getattr(event, name) for name in names})


def _most_common(counted: Counter[tuple[str, ...]]) -> tuple[Count, ...]:
    return tuple(Count(what=key, times=times) for key, times in counted.most_common())
