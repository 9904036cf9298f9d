"""Reading the audit log: records as typed events, and which of them somebody asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gateway.audit import log
from gateway.base import json
from gateway.base.records import Record

_TEXTS = ("principal", "fingerprint", "address", "port", "request", "session", "project", "verb", "decision", "reason")
_ELSEWHERE = frozenset((*_TEXTS, "seq", "time", "event", "prev", "status"))
OUTCOMES = ("allowed", "refused", "done", "failed")
_FAILURES = frozenset(("unlock-failed", "lock-incomplete", "fault"))


class Event(Record):
    """One record. What it does not have is "" (`status`: None). `verb` is that of the request it belongs to, and
    `details` are its other fields, in order.
    """

    seq: int
    time: str
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
        """One of OUTCOMES, or "" for what only says that something is so."""
        if self.decision:
            return "allowed" if self.decision == "allow" else "refused"
        if self.event in _FAILURES or self.status:
            return "failed"
        return "done" if self.status == 0 else ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key's fingerprint that the record has."""
        return tuple(filter(None, (self.fingerprint, *(value for key, value in self.details if key in _KEYS))))

    def detail(self, name: str) -> str:
        return next((value for key, value in self.details if key == name), "")

    def cells(self) -> tuple[str, ...]:
        """Time, event, principal, address, and what is particular to it: a row of a table."""
        told = [f"{name}={value}" for name in _TOLD if (value := getattr(self, name))]
        told += [f"status={self.status}"] if self.status is not None else []
        told += [f"{key}={value}" for key, value in self.details]
        return self.time, self.event, self.principal or "-", self.address or "-", " ".join(told)

    def fields(self) -> dict[str, object]:
        """The record again, without what it does not have."""
        own = {name: value for name, value in self.as_dict().items() if name != "details" and value not in ("", None)}
        return {**own, **dict(self.details)}


_KEYS = ("key", "invite")
_TOLD = ("session", "verb", "project", "decision", "reason")


class Filter(Record):
    """What somebody asks for; "" asks for nothing in particular. Moments are RFC 3339, UTC: `since` is the first that
    counts, `until` the first that does not. `key` may be the beginning of a fingerprint.
    """

    principal: str = ""
    key: str = ""
    project: str = ""
    verb: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""

    def takes(self, event: Event) -> bool:
        return (
            (not self.principal or event.principal == self.principal)
            and (not self.key or any(key.startswith(self.key) for key in event.keys))
            and (not self.project or event.project == self.project)
            and (not self.verb or event.verb == self.verb)
            and (not self.outcome or event.outcome == self.outcome)
            and (not self.since or event.time >= self.since)
            and (not self.until or event.time < self.until)
        )


_REQUESTS = 10_000
"""That are remembered by their verb: more than can be under way at once."""


def events(path: str, wanted: Filter) -> Iterator[Event]:
    """The events that `wanted` takes in the log at `path` and in those rotated away before it, oldest first, read as
    they are asked for. Raises OSError.

    What is no record is left out; `gateway.audit.verification` is there for that.
    """
    verbs: dict[str, str] = {}
    for event in _all(path):
        if event.verb and event.request:
            verbs[event.request] = event.verb
            if len(verbs) > _REQUESTS:
                del verbs[next(iter(verbs))]
        elif event.request in verbs:
            verb = verbs.pop(event.request) if event.event == "result" else verbs[event.request]
            event = event.replace(verb=verb)
        if wanted.takes(event):
            yield event


def _all(path: str) -> Iterator[Event]:
    """The newest log is opened first: it may be rotated away while the older ones are read."""
    with open(path, encoding="utf-8", errors="replace") as newest:
        for archive in log.archives(path):
            try:
                with open(archive, encoding="utf-8", errors="replace") as file:
                    if not os.path.samestat(os.fstat(file.fileno()), os.fstat(newest.fileno())):
                        yield from filter(None, map(_event, file))
            except FileNotFoundError:  # dropped meanwhile
                continue
        yield from filter(None, map(_event, newest))


def _event(line: str) -> Event | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or type(values.get("seq")) is not int:
        return None
    texts = {name: str(values.get(name, "")) for name in _TEXTS}
    status = values.get("status")
    return Event(
        seq=values["seq"],
        time=str(values.get("time", "")),
        event=str(values.get("event", "")),
        status=status if type(status) is int else None,
        details=tuple((str(key), str(value)) for key, value in values.items() if key not in _ELSEWHERE),
        **texts,
    )
