"""The caller's sessions."""

from __future__ import annotations

from gateway.sessions import Session
from rshell import terminal
from rshell.command import Command
from rshell.context import Context


def run(context: Context, command: Command) -> int:
    """Print each session: who, from where, since when, and what it has unlocked."""
    live = context.live()
    rows = [("SESSION", "PRINCIPAL", "FROM", "SINCE", "HELD BY", "UNLOCKED"), *map(_row, live)]
    fields = {"sessions": [_about(session) for session in live]}
    terminal.result(fields, terminal.columns(rows) if live else "no sessions; nothing is unlocked", command.wants_json)
    return 0


def _about(session: Session) -> dict[str, object]:
    views = [view.as_dict() for view in session.views]
    hidden = ("connection", "pid", "views")
    return {**{key: value for key, value in session.as_dict().items() if key not in hidden}, "views": views}


def _row(session: Session) -> tuple[str, ...]:
    views = ", ".join(f"{view.project} (since {view.since})" for view in session.views)
    return session.id, session.principal, session.address, session.since, session.anchor, views or "-"
