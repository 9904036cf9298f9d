"""Draw sessions and views over time as one SVG: a row for each principal, with lanes for concurrent sessions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from gateway.audit import reasons
from gateway.audit.query import moment
from gateway.audit.report.summary import Span
from gateway.base.records import Record
from gateway.base.text import counted

MAX_SESSIONS = 300
"""Only the newest are drawn: more could not be told apart."""

_WIDTH, _LEFT, _RIGHT, _TOP = 1000.0, 190.0, 16.0, 26.0
_LANE, _GAP, _MIN_WIDTH = 20.0, 10.0, 3.0
_TICK_SECONDS = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)


class Bar(Record):
    """A span in seconds since the epoch, and its lane, counted from 0 for each principal."""

    span: Span
    began: float
    ended: float
    lane: int


class Row(Record):
    """A principal's lanes; `top` is the y coordinate of the first."""

    principal: str
    top: float
    lanes: int
    bars: tuple[Bar, ...]


def svg(sessions: Sequence[Span], views: Sequence[Span], first: str, last: str) -> str:
    """The drawing, or "" when there was no session. All text in it is escaped."""
    drawn = [span for span in sessions[-MAX_SESSIONS:] if moment(span.began)]
    views = [span for span in views if moment(span.began)]
    if not drawn:
        return ""
    begin, end = _period(drawn, first, last)
    rows = _rows(drawn, end)
    height = rows[-1].top + rows[-1].lanes * _LANE + _GAP
    parts = [
        f'<svg class="timeline" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-labelledby="timeline-title">',
        f'<title id="timeline-title">{counted(len(drawn), "session")} from {escape(first)} to {escape(last)}</title>',
        _axis(begin, end, height),
    ]
    for row in rows:
        parts.append(_row(row, views, begin, end))
    return "\n".join((*parts, "</svg>"))


def _period(drawn: Sequence[Span], first: str, last: str) -> tuple[float, float]:
    """What is drawn: from the first session, or from `first`, to `last`."""
    begin = max(moment(first), min(moment(span.began) for span in drawn))
    return begin, max(moment(last), begin + 1)


def _rows(spans: Sequence[Span], end: float) -> tuple[Row, ...]:
    rows, top = [], _TOP
    for principal in dict.fromkeys(span.principal for span in spans):
        bars = _in_lanes([span for span in spans if span.principal == principal], end)
        rows.append(Row(principal=principal, top=top, lanes=1 + max(bar.lane for bar in bars), bars=bars))
        top += rows[-1].lanes * _LANE + _GAP
    return tuple(rows)


def _in_lanes(spans: Sequence[Span], end: float) -> tuple[Bar, ...]:
    """Put each span in the first lane that is free when it begins."""
    free: list[float] = []
    bars = []
    for span in spans:
        began, ended = moment(span.began), moment(span.ended) or end
        lane = next((number for number, until in enumerate(free) if until <= began), len(free))
        free[lane : lane + 1] = [max(ended, began + 1)]
        bars.append(Bar(span=span, began=began, ended=ended, lane=lane))
    return tuple(bars)


def _x(moment: float, begin: float, end: float) -> float:
    return _LEFT + (min(max(moment, begin), end) - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT)


def _axis(begin: float, end: float, height: float) -> str:
    step = next((step for step in _TICK_SECONDS if (end - begin) / step <= 8), _TICK_SECONDS[-1])
    form = "%d %b" if step >= 86400 else "%d %b %H:%M" if end - begin > 86400 else "%H:%M"
    lines = []
    moment = begin - begin % step + step
    while moment < end:
        x = _x(moment, begin, end)
        text = time.strftime(form, time.gmtime(moment))
        lines.append(f'<line class="tick" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height:.0f}"/>')
        lines.append(f'<text class="when" x="{x:.1f}" y="12" text-anchor="middle">{text}</text>')
        moment += step
    return "".join(lines)


def _row(row: Row, views: Sequence[Span], begin: float, end: float) -> str:
    middle = row.top + _LANE * row.lanes / 2 + 4
    shown_name = row.principal if len(row.principal) <= 22 else row.principal[:19] + "\u2026"
    parts = [
        f'<text class="who" x="{_LEFT - 10}" y="{middle:.1f}" text-anchor="end">{escape(shown_name)}'
        f"<title>{escape(row.principal)}</title></text>"
    ]
    for bar in row.bars:
        y = row.top + bar.lane * _LANE
        parts.append(f'<a href="#{escape(bar.span.session)}">')
        parts.append(_rect("session", bar.span, bar.began, bar.ended, begin, end, y, _LANE - 4))
        for view in views:
            if view.session == bar.span.session:
                ended = moment(view.ended) or end
                parts.append(_rect("view", view, moment(view.began), ended, begin, end, y + 4, _LANE - 12))
        if reasons.is_abrupt(bar.span.reason):
            x = _x(bar.ended, begin, end)
            parts.append(f'<circle class="abrupt" cx="{x:.1f}" cy="{y + (_LANE - 4) / 2:.1f}" r="3.5"/>')
        parts.append("</a>")
    return "".join(parts)


def _rect(
    kind: str, span: Span, began: float, ended: float, begin: float, end: float, top: float, height: float
) -> str:
    left, right = _x(began, begin, end), _x(ended, begin, end)
    left = min(left, _WIDTH - _RIGHT - _MIN_WIDTH)
    until = f"{span.ended} ({reasons.for_sysadmin(span.reason) or span.reason})" if span.ended else "still open"
    what = f"{span.project} in {span.session}" if span.project else f"{span.session} from {span.address}"
    title = escape(f"{span.principal}: {what}, {span.began} to {until}")
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{max(right - left, _MIN_WIDTH):.1f}" '
        f'height="{height:.1f}" rx="3"><title>{title}</title></rect>'
    )
