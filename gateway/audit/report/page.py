"""The report as one HTML page: no script, no load from anywhere, and every word of the log escaped.

What the log holds comes in part from users (names, labels), so the page also says by Content-Security-Policy that
nothing in it may run or be fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gateway.audit.report import timeline
from gateway.audit.report.style import CSS
from gateway.audit.report.summary import MOST, Events, Span, Summary

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_LONGEST = 300
"""Characters of a cell."""

_ENDS = {
    "unmount": "asked for by its user",
    "logout": "asked for by its user",
    "idle-view": "nobody used the project",
    "idle-session": "nobody used the session",
    "hangup": "the connection ended",
    "revoked": "the key was taken away, or expired",
    "killed": "ended by a sysadmin",
    "shutdown": "the host or the gateway went down",
    "failed": "gocryptfs or the gateway failed",
}


def html(told: Summary, chosen: str, now: str) -> str:
    """The page. `chosen` says which records were asked for ("" for all), `now` when (UTC)."""
    span = f"{_moment(told.first)} to {_moment(told.last)} UTC" if told.records else "no records"
    body = "\n".join(
        (
            f'<header><h1>ENC gateway report</h1><p class="span">{escape(span)}</p>',
            f"<p>{told.records} audit records{escape(': ' + chosen) if chosen else ''}.",
            f"Written {_moment(now)} UTC.</p></header>",
            "<main>",
            _cards(told),
            _timeline(told),
            _logins(told),
            _refusals(told),
            _locks(told),
            _sessions(told),
            _events("failures", "Failures", told.failures, "Nothing failed."),
            _events("administration", "Keys and projects", told.administration, "No key and no project was changed."),
            "</main>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>ENC gateway report, {escape(span)}</title>\n<style>{CSS}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _moment(text: str) -> str:
    """RFC 3339 as people read it, to the second."""
    return escape(text[:19].replace("T", " "))


def _cards(told: Summary) -> str:
    numbers = (
        ("sessions", told.sessions.count, ""),
        ("still open", told.sessions.still_open, ""),
        ("projects unlocked", told.views.count, ""),
        ("keys used", len(told.logins), ""),
        ("refused", sum(one.times for one in told.refusals), "warn"),
        ("failures", told.failures.count, "bad"),
    )
    cards = (
        f'<li class="{kind if number else ""}"><strong>{number}</strong> {name}</li>' for name, number, kind in numbers
    )
    return f'<ul class="cards" aria-label="In numbers">{"".join(cards)}</ul>'


def _timeline(told: Summary) -> str:
    picture = timeline.svg(told.sessions.newest, told.views.newest, told.first, told.last)
    left_out = told.sessions.count - timeline.MOST
    note = f" The {timeline.MOST} newest; {left_out} earlier ones are not drawn." if left_out > 0 else ""
    legend = (
        '<p class="legend"><span class="session"></span> session <span class="view"></span> unlocked project '
        f'<span class="abrupt"></span> ended by a revoked key, a sysadmin or a failure.{note}</p>'
    )
    return _section("timeline", "Sessions over time", f"{legend}<figure>{picture}</figure>" if picture else "", _NOBODY)


_NOBODY = "Nobody had a session."


def _logins(told: Summary) -> str:
    rows = (
        (
            _who(one.principal),
            _code(one.fingerprint),
            _number(one.connections),
            _number(one.commands),
            _number(one.refused),
            _time(one.last),
        )
        for one in told.logins[:MOST]
    )
    header = ("Principal", "Key", "#Connections", "#Commands", "#Refused", "Last")
    return _section(
        "logins", f"Logins by key{_first(len(told.logins))}", _table(header, tuple(rows)), "Nobody logged in."
    )


def _refusals(told: Summary) -> str:
    rows = tuple((_who(one.what[0]), *map(_text, one.what[1:]), _number(one.times)) for one in told.refusals[:MOST])
    table = _table(("Principal", "Command", "Reason", "#Times"), rows)
    return _section("refusals", f"Refused{_first(len(told.refusals))}", table, "Nothing was refused.")


def _locks(told: Summary) -> str:
    most = max((one.times for one in told.locks), default=1)
    rows = tuple(
        (
            _text(one.what[0]),
            _text(_ENDS.get(one.what[0], "")),
            _number(one.times),
            f'<td class="bar" aria-hidden="true"><span style="width: {100 * one.times / most:.0f}%"></span></td>',
        )
        for one in told.locks
    )
    table = _table(("Reason", "Means", "#Times", ""), rows)
    return _section("locks", "Locks by reason", table, "Nothing was locked.")


def _sessions(told: Summary) -> str:
    projects: dict[str, list[str]] = {}
    for view in told.views.newest:
        projects.setdefault(view.session, []).append(view.project)
    newest = reversed(told.sessions.newest)
    rows = tuple(_session(one, ", ".join(dict.fromkeys(projects.get(one.session, ())))) for one in newest)
    table = _table(("Session", "Principal", "From", "Began", "Ended", "By", "Projects"), rows)
    return _section("sessions", f"Sessions{_cut(told.sessions.count)}", table, _NOBODY)


def _session(one: Span, projects: str) -> tuple[str, ...]:
    ended = _time(one.ended) if one.ended else "<td>still open</td>"
    return (
        _code(one.session),
        _who(one.principal),
        _text(one.address),
        _time(one.began),
        ended,
        _text(one.why),
        _text(projects),
    )


def _events(id_: str, title: str, events: Events, none: str) -> str:
    rows = []
    for event in reversed(events.newest):
        when, name, principal, address, what = event.cells()
        rows.append((_time(when), _text(name), _who(principal), _text(address), _text(what)))
    table = _table(("Time", "Event", "Principal", "From", "What"), tuple(rows))
    return _section(id_, title + _cut(events.count), table, none)


def _cut(count: int) -> str:
    return f" (the newest {MOST} of {count})" if count > MOST else ""


def _first(count: int) -> str:
    return f" (the most frequent {MOST} of {count})" if count > MOST else ""


def _section(id_: str, title: str, content: str, none: str) -> str:
    content = content or f'<p class="none">{none}</p>'
    return f'<section id="{id_}" aria-labelledby="{id_}-h"><h2 id="{id_}-h">{title}</h2>{content}</section>'


def _table(header: Iterable[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are made by the functions below; a heading with # is that of numbers."""
    if not rows:
        return ""
    heads = "".join(
        f'<th scope="col"{" class=number" * name.startswith("#")}>{name.removeprefix("#")}</th>' for name in header
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(text: str) -> str:
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "\u2026"
    return f"<td>{escape(shown)}</td>"


def _who(principal: str) -> str:
    """A principal; one that is a fingerprint is shortened, as it stands in full beside its key."""
    if not principal.startswith("SHA256:"):
        return _text(principal)
    return f'<td><span title="{escape(principal)}">{escape(principal[:19])}\u2026</span></td>'


def _code(text: str) -> str:
    return f"<td><code>{escape(text)}</code></td>"


def _number(number: int) -> str:
    return f'<td class="number">{number}</td>'


def _time(text: str) -> str:
    return f'<td><time datetime="{escape(text)}">{_moment(text)}</time></td>'
