"""The report as one HTML page. It has no script, loads nothing, and escapes every text from the log.

Users wrote some of that text (names, labels), so a Content-Security-Policy also forbids the page to run or fetch
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gateway.audit import wording
from gateway.audit.query import Event
from gateway.audit.report import timeline
from gateway.audit.report.style import CSS
from gateway.audit.report.summary import MAX_ROWS, Events, Span, Summary
from gateway.base.records import Record
from gateway.base.text import counted

_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MAX_CELL = 300
"""Characters; longer text is cut off."""


class About(Record):
    """What the page says of itself: the gateway's host or hosts, the filters in force ("" for none), when it was
    written (RFC 3339, UTC), and whether the log is as it was written, also in words.
    """

    host: str
    chosen: str
    written: str
    chain: str
    is_sound: bool


def html(summary: Summary, about: About) -> str:
    """The page."""
    span = f"{_readable(summary.first)} to {_readable(summary.last)} UTC" if summary.records else "no records"
    body = "\n".join(
        (
            f'<header><h1>ENC gateway {escape(about.host)}</h1><p class="span">{escape(span)}</p>',
            f"<p>{counted(summary.records, 'audit record')}{escape(': ' + about.chosen) if about.chosen else ''}.",
            f"Written {_readable(about.written)} UTC.</p>",
            f'<p class="{"sound" if about.is_sound else "broken"}">{escape(_sentence(about.chain))}</p></header>',
            "<main>",
            _cards(summary),
            _timeline(summary),
            _logins(summary),
            _refusals(summary),
            _locks(summary),
            _sessions(summary),
            _events("failures", "Failures", summary, summary.failures, "Nothing failed."),
            _events(
                *("administration", "Keys and projects", summary, summary.administration),
                empty="No key and no project was changed.",
            ),
            "</main>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>ENC gateway {escape(about.host)}: report, {escape(span)}</title>\n<style>{CSS}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _readable(text: str) -> str:
    """RFC 3339 without the T and what follows the seconds."""
    return escape(text[:19].replace("T", " "))


def _cards(summary: Summary) -> str:
    numbers = (
        (summary.sessions.count, "session", "sessions", ""),
        (summary.sessions.still_open, "still open", "still open", ""),
        (summary.views.count, "project unlocked", "projects unlocked", ""),
        (len(summary.logins), "key used", "keys used", ""),
        (summary.refused.count, "refused", "refused", "warn"),
        (summary.failures.count, "failure", "failures", "bad"),
    )
    cards = (
        f'<li class="{kind if number else ""}"><strong>{number}</strong> {one if number == 1 else many}</li>'
        for number, one, many, kind in numbers
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
        "timeline",
        "Sessions over time",
        f'{legend}{_SCROLLS}<figure class="scroll" tabindex="0">{picture}</figure>' if picture else "",
        _NO_SESSIONS,
    )


_SCROLLS = '<p class="scrolls">The picture is wider than the screen: scroll it sideways.</p>'
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
    sessions = _Sessions(summary)
    rows = [
        (
            _time(event.time),
            _text(event.host),
            _principal(event.principal),
            _text(event.address),
            _text(wording.command(event)),
            _text(wording.why_refused(event.reason)),
            sessions.link(event),
        )
        for event in reversed(summary.refused.newest)
    ]
    table = _table(("Time", "Host", "Principal", "From", "Command", "Why", "Session"), rows)
    if table and len(summary.refusals) < summary.refused.count:
        often = tuple(
            (_principal(who), _text(what), _text(wording.why_refused(reason)), _number(one.times))
            for one in summary.refusals[:MAX_ROWS]
            for who, what, reason in (one.what,)
        )
        title = f"<h3>How often{_most_frequent_of(len(summary.refusals))}</h3>"
        table += title + _table(("Principal", "Command", "Why", "#Times"), often)
    return _section("refusals", f"Refused{_newest_of(summary.refused.count)}", table, "Nothing was refused.")


def _locks(summary: Summary) -> str:
    most = max((one.times for one in summary.locks), default=1)
    rows = tuple(
        (
            _text(_sentence(wording.why(one.what[0])).rstrip(".")),
            _number(one.times),
            f'<td class="bar" aria-hidden="true"><span style="width: {100 * one.times / most:.0f}%"></span></td>',
        )
        for one in summary.locks
    )
    table = _table(("Reason", "#Times", ""), rows)
    return _section("locks", "Why projects were locked", table, "Nothing was locked.")


def _sessions(summary: Summary) -> str:
    projects: dict[str, list[str]] = {}
    for view in summary.views.newest:
        projects.setdefault(view.session, []).append(view.project)
    newest = reversed(summary.sessions.newest)
    rows = tuple(_session(one, ", ".join(dict.fromkeys(projects.get(one.session, ())))) for one in newest)
    table = _table(("Session", "Host", "Principal", "From", "Began", "Ended", "Reason", "Projects"), rows)
    return _section("sessions", f"Sessions{_newest_of(summary.sessions.count)}", table, _NO_SESSIONS)


def _session(one: Span, projects: str) -> tuple[str, ...]:
    ended = _time(one.ended) if one.ended else "<td>still open</td>"
    return (
        f'<td id="{escape(one.session)}"><code>{escape(one.session)}</code></td>',
        _text(one.host),
        _principal(one.principal),
        _text(one.address),
        _time(one.began),
        ended,
        _text(wording.why(one.reason)),
        _text(projects),
    )


def _events(id_: str, title: str, summary: Summary, events: Events, empty: str) -> str:
    sessions = _Sessions(summary)
    rows = [
        (
            _time(event.time),
            _text(event.host),
            _principal(event.principal),
            _key(next(iter(event.keys), "")),
            _text(event.address),
            _text(wording.describe(event)),
            sessions.link(event),
        )
        for event in reversed(events.newest)
    ]
    table = _table(("Time", "Host", "Principal", "Key", "From", "What", "Session"), rows)
    return _section(id_, title + _newest_of(events.count), table, empty)


class _Sessions:
    """The sessions that the page lists, to link an event to its own: it names it, or came over the same connection."""

    def __init__(self, summary: Summary) -> None:
        self._listed = {one.session for one in summary.sessions.newest}
        self._of_connection = {(one.principal, one.address, one.port): one.session for one in summary.sessions.newest}

    def link(self, event: Event) -> str:
        found = event.session or self._of_connection.get((event.principal, event.address, event.port), "")
        if not found or found not in self._listed:
            return _text(found)
        return f'<td><a href="#{escape(found)}"><code>{escape(found)}</code></a></td>'


def _newest_of(count: int) -> str:
    return f" (the newest {MAX_ROWS} of {count})" if count > MAX_ROWS else ""


def _most_frequent_of(count: int) -> str:
    return f" (the most frequent {MAX_ROWS} of {count})" if count > MAX_ROWS else ""


def _section(id_: str, title: str, content: str, empty: str) -> str:
    content = content or f'<p class="none">{empty}</p>'
    return f'<section id="{id_}" aria-labelledby="{id_}-h"><h2 id="{id_}-h">{title}</h2>{content}</section>'


def _table(header: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows are made of the cell functions below. A heading that begins with # is of a column of numbers. Each cell has
    its heading as well: on a narrow screen every row is a card. The column of hosts is left
    out if it names none.
    """
    if not rows:
        return ""
    kept = [at for at, name in enumerate(header) if name != "Host" or any(row[at] != _text("") for row in rows)]
    header, rows = [header[at] for at in kept], [tuple(row[at] for at in kept) for row in rows]
    heads = "".join(
        f'<th scope="col"{" class=number" * name.startswith("#")}>{name.removeprefix("#")}</th>' for name in header
    )
    names = [f'<td data-name="{name.removeprefix("#")}"' for name in header]
    lines = []
    for row in rows:
        cells = (name + cell.removeprefix("<td") for name, cell in zip(names, row, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _text(text: str) -> str:
    shown = text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + "\u2026"
    return f"<td>{escape(shown)}</td>"


def _principal(principal: str) -> str:
    """A principal. A fingerprint is shortened: the key's column has it in full."""
    if not principal.startswith("SHA256:"):
        return _text(principal)
    return f'<td><span title="{escape(principal)}">{escape(principal[:19])}\u2026</span></td>'


def _key(fingerprint: str) -> str:
    """A fingerprint, shortened; a pointer shows it in full."""
    return f'<td><code title="{escape(fingerprint)}">{escape(fingerprint[:19])}</code></td>'


def _code(text: str) -> str:
    return f"<td><code>{escape(text)}</code></td>"


def _number(number: int) -> str:
    return f'<td class="number">{number}</td>'


def _time(text: str) -> str:
    return f'<td><time datetime="{escape(text)}">{_readable(text)}</time></td>'
