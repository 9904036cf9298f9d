"""Who the gateway takes the caller for."""

from __future__ import annotations

from rshell import terminal
from rshell.command import Command
from rshell.context import Context
from rshell.grammar import printable


def run(context: Context, command: Command) -> int:
    """Print principal, fingerprint, key label, where from, and live sessions."""
    caller = context.caller
    live = [session.id for session in context.live()]
    label = printable(context.label)
    fields = {**caller.as_fields(), "label": label, "sessions": live}
    rows = [
        ("principal", caller.principal),
        ("key", f"{caller.fingerprint} ({caller.key_type})"),
        ("label", label or "-"),
        ("from", f"{caller.address} port {caller.port}"),
        ("sessions", " ".join(live) or "none"),
    ]
    terminal.result(fields, terminal.columns(rows), command.wants_json)
    return 0
