"""Read the audit log: records as typed events, and filters that choose among them."""

from __future__ import annotations

import calendar
import contextlib
import heapq
import os
import time
from collections.abc import Iterable, Iterator

from gateway.audit import archives, lines
from gateway.base import json
from gateway.base.records import Record
from gateway.identity.names import Principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from gateway.audit.archives import Log

_TEXTS = ("principal", "fingerprint", "address", "port", "request", "session", "project", "verb", "decision", "reason")
_NOT_DETAILS = frozenset((*_TEXTS, "seq", "time", "host", "event", "prev", "status"))
OUTCOMES = ("allowed", "refused", "done", "failed")
_FAILURES = frozenset(("unlock-failed", "lock-incomplete", "fault"))


class Event(Record):
    """One record. A field that it lacks is "" (`status`: None). `verb` is the verb of the request that it belongs to.
    `host` is the host in whose log it is, "" for a gateway that is alone; a record does not say it itself. `details`
    has all other fields, in order.
    """

    seq: int
    time: str
    host: str
    event: str
    principal: str
    fingerprint: str
    address: str
    port: str
    request: str
    session: str
    project: str
    verb: str
    decision: str
    reason: str
    status: int | None
    details: tuple[tuple[str, str], ...]

    @property
    def outcome(self) -> str:
        """One of OUTCOMES, or "" for a record that only reports a state."""
        if self.decision:
            return "allowed" if self.decision == "allow" else "refused"
        if self.event in _FAILURES or self.status:
            return "failed"
        return "done" if self.status == 0 else ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The fingerprints of all keys that the record names."""
        return tuple(filter(None, (self.fingerprint, *(value for key, value in self.details if key in _KEY_FIELDS))))

    def detail(self, name: str) -> str:
        return next((value for key, value in self.details if key == name), "")

    def fields(self) -> dict[str, object]:
        """The fields that are not empty, with the verb of the request and the outcome."""
        own = {name: value for name, value in self.as_dict().items() if name != "details" and value not in ("", None)}
        outcome = {"outcome": self.outcome} if self.outcome else {}
        return {**own, **outcome, **dict(self.details)}


_KEY_FIELDS = ("key", "invite")


class Filter(Record):
    """Which events to take; "" takes all. `since` and `until` are RFC 3339 in UTC, and `until` itself is not included.
    `key` may be the beginning of a fingerprint. `project` is a project's name, whoever owns it, or OWNER/PROJECT.
    """

    principal: str = ""
    key: str = ""
    project: str = ""
    verb: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""

    def matches(self, event: Event) -> bool:
        return (
            (not self.principal or event.principal == self.principal)
            and (not self.key or any(key.startswith(self.key) for key in event.keys))
            and (not self.project or _is_named(event, self.project))
            and (not self.verb or event.verb == self.verb)
            and (not self.outcome or event.outcome == self.outcome)
            and (not self.since or event.time >= self.since)
            and (not self.until or event.time < self.until)
        )


def _is_named(event: Event, wanted: str) -> bool:
    """Whether the event is about that project, as its owner calls it or as its members do."""
    named = event.project
    owner, _, project = named.rpartition("/")
    if "/" not in wanted:
        return project == wanted
    if not owner and named:  # the name that it has for its owner
        principal = event.detail("owner") or event.principal
        owner = Principal(principal).word if Principal.is_valid(principal) else principal
    return f"{owner}/{project}" == wanted.replace("+", "-")


_MAX_OPEN_REQUESTS = 10_000
"""Requests whose verb is remembered until their result: more than can be under way at once."""


class Verbs:
    """Gives each event the verb of the request that it belongs to."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    def complete(self, event: Event) -> Event:
        """`event`, which comes after all that were completed before."""
        if event.verb and event.request:
            self._open[event.request] = event.verb
            if len(self._open) > _MAX_OPEN_REQUESTS:
                del self._open[next(iter(self._open))]
        elif event.request in self._open:
            verb = self._open.pop(event.request) if event.event == "result" else self._open[event.request]
            return event.replace(verb=verb)
        return event


def events(path: str, wanted: Filter, host: str = "") -> Iterator[Event]:
    """The events in the log at `path` and in its rotated logs that match `wanted`, oldest first, read lazily.

    Lines that are not records are skipped; `gateway.audit.verification` reports them. Raises OSError.
    """
    return named(host, filter(wanted.matches, map(Verbs().complete, _all_events(path))))


def named(host: str, found: Iterator[Event]) -> Iterator[Event]:
    """The events with the host in whose log they are."""
    return (event.replace(host=host) for event in found) if host else found


def merged(logs: Iterable[Log], wanted: Filter) -> Iterator[Event]:
    """The events of several logs, by time; those of one log stay in its order. A log that is missing has none."""
    return by_time(_present(events(log.path, wanted, log.host)) for log in logs)


def by_time(sources: Iterable[Iterator[Event]]) -> Iterator[Event]:
    return heapq.merge(*sources, key=lambda event: event.time)


def _present(found: Iterator[Event]) -> Iterator[Event]:
    with contextlib.suppress(FileNotFoundError):
        yield from found


def _all_events(path: str) -> Iterator[Event]:
    """The current log is opened first, because it may be rotated while the older ones are read."""
    with lines.open_log(path) as current:
        yield from events_before(path, current)
        yield from events_in(current)


def events_before(path: str, current: BinaryIO) -> Iterator[Event]:
    """The events in the closed logs of `path`; `current` is the open log, which a rotation may have closed since."""
    for archive in archives.archives(path):
        try:
            with lines.open_log(archive) as file:
                if not os.path.samestat(os.fstat(file.fileno()), os.fstat(current.fileno())):
                    yield from events_in(file)
        except FileNotFoundError:  # deleted by a rotation meanwhile
            continue


def events_in(file: BinaryIO) -> Iterator[Event]:
    """The events in one open log, read lazily. Lines that are not records are skipped."""
    return filter(None, map(parse, lines.of(file)))


def parse(line: bytes) -> Event | None:
    """The event in a line of a log; None if it is no record."""
    try:
        values = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or type(values.get("seq")) is not int:
        return None
    texts = {name: str(values.get(name, "")) for name in _TEXTS}
    status = values.get("status")
    return Event(
        seq=values["seq"],
        time=str(values.get("time", "")),
        host="",
        event=str(values.get("event", "")),
        status=status if type(status) is int else None,
        details=tuple((str(key), str(value)) for key, value in values.items() if key not in _NOT_DETAILS),
        **texts,
    )


def timestamp(text: str) -> float:
    """Seconds since the epoch of RFC 3339 in UTC, without the fraction. Raises ValueError."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def moment(text: str) -> float:
    """The same; 0 for what is no time, as a log that was overwritten may have it."""
    try:
        return timestamp(text)
    except ValueError:
        return 0.0
