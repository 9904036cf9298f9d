"""The report as one HTML page. It has no script, loads nothing, and escapes every text from the log.

Users wrote some of that text (names, labels), so a Content-Security-Policy also forbids the page to run or fetch
anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gateway.audit import reasons
from gateway.audit.report import timeline
from gateway.audit.report.style import CSS
from gateway.audit.report.summary import MAX_ROWS, Events, Span, Summary

_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MAX_CELL = 300
"""Characters; longer text is cut off."""


def html(summary: Summary, chosen: str, now: str) -> str:
    """The page. `chosen` names the filters in force ("" for none); `now` is RFC 3339 in UTC."""
    span = f"{_readable(summary.first)} to {_readable(summary.last)} UTC" if summary.records else "no records"
    body = "\n".join(
        (
            f'<header><h1>ENC gateway report</h1><p class="span">{escape(span)}</p>',
            f"<p>{summary.records} audit records{escape(': ' + chosen) if chosen else ''}.",
            f"Written {_readable(now)} UTC.</p></header>",
            "<main>",
            _cards(summary),
            _timeline(summary),
            _logins(summary),
            _refusals(summary),
            _locks(summary),
            _sessions(summary),
            _events("failures", "Failures", summary.failures, "Nothing failed."),
            _events(
                "administration", "Keys and projects", summary.administration, "No key and no project was changed."
            ),
            "</main>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>ENC gateway report, {escape(span)}</title>\n<style>{CSS}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _readable(text: str) -> str:
    """RFC 3339 without the T and what follows the seconds."""
    return escape(text[:19].replace("T", " "))


def _cards(summary: Summary) -> str:
    numbers = (
        ("sessions", summary.sessions.count, ""),
        ("still open", summary.sessions.still_open, ""),
        ("projects unlocked", summary.views.count, ""),
        ("keys used", len(summary.logins), ""),
        ("refused", sum(one.times for one in summary.refusals), "warn"),
        ("failures", summary.failures.count, "bad"),
    )
    cards = (
        f'<li class="{kind if number else ""}"><strong>{number}</strong> {name}</li>' for name, number, kind in numbers
    )
    return f'<ul class="cards" aria-label="In numbers">{"".join(cards)}</ul>'


def _timeline(summary: Summary) -> str:
    picture = timeline.svg(summary.sessions.newest, summary.views.newest, summary.first, summary.last)
    left_out = summary.sessions.count - timeline.MAX_SESSIONS
    note = f" The {timeline.MAX_SESSIONS} newest; {left_out} earlier ones are not drawn." if left_out > 0 else ""
    legend = (
        '<p class="legend"><span class="session"></span> session <span class="view"></span> unlocked project '
        f'<span class="abrupt"></span> ended by a revoked key, a sysadmin, a shutdown or a failure.{note}</p>'
    )
    return _section(
        "timeline", "Sessions over time", f"{legend}<figure>{picture}</figure>" if picture else "", _NO_SESSIONS
    )


_NO_SESSIONS = "There were no sessions."


def _logins(summary: Summary) -> str:
    rows = (
        (
            _principal(one.principal),
            _code(one.fingerprint),
            _number(one.connections),
            _number(one.commands),
            _number(one.refused),
            _time(one.last),
        )
        for one in summary.logins[:MAX_ROWS]
    )
    header = ("Principal", "Key", "#Connections", "#Commands", "#Refused", "Last")
    return _section(
        "logins",
        f"Logins by key{_most_frequent_of(len(summary.logins))}",
        _table(header, tuple(rows)),
        "Nobody logged in.",
    )


def _refusals(summary: Summary) -> str:
    rows = tuple(
        (_principal(one.what[0]), *map(_text, one.what[1:]), _number(one.times)) for one in summary.refusals[:MAX_ROWS]
    )
    table = _table(("Principal", "Command", "Reason", "#Times"), rows)
    return _section("refusals", f"Refused{_most_frequent_of(len(summary.refusals))}", table, "Nothing was refused.")


def _locks(summary: Summary) -> str:
    most = max((one.times for one in summary.locks), default=1)
    rows = tuple(
        (
            _text(one.what[0]),
            _text(reasons.for_sysadmin(one.what[0])),
            _number(one.times),
            f'<td class="bar" aria-hidden="true"><span style="width: {100 * one.times / most:.0f}%"></span></td>',
        )
        for one in summary.locks
    )
    table = _table(("Reason", "Means", "#Times", ""), rows)
    return _section("locks", "Locks by reason", table, "Nothing was locked.")


def _sessions(summary: Summary) -> str:
    projects: dict[str, list[str]] = {}
    for view in summary.views.newest:
        projects.setdefault(view.session, []).append(view.project)
    newest = reversed(summary.sessions.newest)
    rows = tuple(_session(one, ", ".join(dict.fromkeys(projects.get(one.session, ())))) for one in newest)
    table = _table(("Session", "Principal", "From", "Began", "Ended", "Reason", "Projects"), rows)
    return _section("sessions", f"Sessions{_newest_of(summary.sessions.count)}", table, _NO_SESSIONS)


def _session(one: Span, projects: str) -> tuple[str, ...]:
    ended = _time(one.ended) if one.ended else "<td>still open</td>"
    return (
        _code(one.session),
        _principal(one.principal),
        _text(one.address),
        _time(one.began),
        ended,
        _text(one.reason),
        _text(projects),
    )


def _events(id_: str, title: str, events: Events, empty: str) -> str:
    rows = []
    for event in reversed(events.newest):
        when, name, principal, address, what = event.cells()
        rows.append((_time(when), _text(name), _principal(principal), _text(address), _text(what)))
    table = _table(("Time", "Event", "Principal", "From", "What"), tuple(rows))
    return _section(id_, title + _newest_of(events.count), table, empty)


def _newest_of(count: int) -> str:
    return f" (the newest {MAX_ROWS} of {count})" if count > MAX_ROWS else ""


def _most_frequent_of(count: int) -> str:
    return f" (the most frequent {MAX_ROWS} of {count})" if count > MAX_ROWS else ""


def _section(id_: str, title: str, content: str, empty: str) -> str:
    content = content or f'<p class="none">{empty}</p>'
    return f'<section id="{id_}" aria-labelledby="{id_}-h"><h2 id="{id_}-h">{title}</h2>{content}</section>'


def _table(header: Iterable[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows are made of the cell functions below. A heading that begins with # is of a column of numbers."""
    if not rows:
        return ""
    heads = "".join(
        f'<th scope="col"{" class=number" * name.startswith("#")}>{name.removeprefix("#")}</th>' for name in header
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(text: str) -> str:
    shown = text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + "\u2026"
    return f"<td>{escape(shown)}</td>"


def _principal(principal: str) -> str:
    """A principal. A fingerprint is shortened: the key's column has it in full."""
    if not principal.startswith("SHA256:"):
        return _text(principal)
    return f'<td><span title="{escape(principal)}">{escape(principal[:19])}\u2026</span></td>'


def _code(text: str) -> str:
    return f"<td><code>{escape(text)}</code></td>"


def _number(number: int) -> str:
    return f'<td class="number">{number}</td>'


def _time(text: str) -> str:
    return f'<td><time datetime="{escape(text)}">{_readable(text)}</time></td>'
