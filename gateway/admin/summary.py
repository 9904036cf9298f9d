"""What a stretch of the audit log comes to: sessions and views with their ends, logins, refusals, locks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gateway.auditview import Event
from gateway.record import Record


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


class Summary(Record):
    """Everything is in the order of time, counts by how often."""

    first: str
    last: str
    records: int
    sessions: tuple[Span, ...]
    views: tuple[Span, ...]
    logins: tuple[Logins, ...]
    refusals: tuple[Count, ...]
    locks: tuple[Count, ...]
    failures: tuple[Event, ...]
    administration: tuple[Event, ...]


_FAILURES = frozenset(("unlock-failed", "lock-incomplete", "fault", "tracking"))
_ADMINISTRATION = frozenset(
    ("key-added", "key-revoked", "invited", "enrolled", "approved", "denied", "created", "removed")
)


def of(events: Iterable[Event]) -> Summary:
    """The summary of these events, oldest first."""
    events = tuple(events)
    opened = {"session-opened": "session-closed", "unlocked": "locked"}
    sessions, views = (_spans(events, begin, end) for begin, end in opened.items())
    denied = [event for event in events if event.decision == "deny"]
    return Summary(
        first=events[0].time if events else "",
        last=events[-1].time if events else "",
        records=len(events),
        sessions=sessions,
        views=views,
        logins=_logins(events),
        refusals=_counted((one.principal, one.verb or "(no command)", one.reason) for one in denied),
        locks=_counted((one.reason,) for one in events if one.event in ("locked", "lock-incomplete")),
        failures=tuple(event for event in events if event.event in _FAILURES),
        administration=tuple(event for event in events if event.event in _ADMINISTRATION),
    )


def _spans(events: tuple[Event, ...], begin: str, end: str) -> tuple[Span, ...]:
    """What begins with one event and ends with another of the same session and project. One whose beginning is not in
    the stretch is taken to have begun with it.
    """
    spans: list[Span] = []
    open_: dict[tuple[str, str], int] = {}
    for event in events:
        at = (event.session, event.project)
        if event.event == begin:
            open_[at] = len(spans)
            spans.append(_span(event, event.time))
        elif event.event == end:
            if at not in open_:
                open_[at] = len(spans)
                spans.append(_span(event, events[0].time))
            spans[open_[at]] = spans[open_[at]].replace(ended=event.time, why=event.reason)
            del open_[at]
    return tuple(spans)


def _span(event: Event, began: str) -> Span:
    names = ("session", "principal", "fingerprint", "address", "project")
    return Span(began=began, **{name: getattr(event, name) for name in names})


def _logins(events: tuple[Event, ...]) -> tuple[Logins, ...]:
    """By key. A connection is an address and a port: many commands can share one."""
    grouped: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.event == "request" and event.fingerprint:
            grouped.setdefault((event.principal, event.fingerprint), []).append(event)
    found = [
        Logins(
            principal=principal,
            fingerprint=fingerprint,
            connections=len({(one.address, one.port) for one in mine}),
            commands=len(mine),
            refused=sum(one.decision == "deny" for one in mine),
            last=mine[-1].time,
        )
        for (principal, fingerprint), mine in grouped.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.commands))


def _counted(what: Iterable[tuple[str, ...]]) -> tuple[Count, ...]:
    return tuple(Count(what=key, times=times) for key, times in Counter(what).most_common())
