"""Show the caller's name, key and live sessions."""

from __future__ import annotations

from gateway.base import text
from gateway.vault import realm as realms
from rshell.context import Context
from rshell.language.command import Command
from rshell.language.grammar import printable
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """Print principal, fingerprint, key label, client address and live sessions."""
    caller = context.caller
    live = [session.id for session in context.sessions()]
    label = printable(context.label)
    realm = realms.of(context.config.paths_vaults)
    fields = {**caller.as_fields(), "label": label, "sessions": live, "realm": realm}
    rows = [
        ("principal", caller.principal),
        ("key", f"{caller.fingerprint} ({caller.key_type})"),
        ("label", label or "-"),
        ("from", f"{caller.address} port {caller.port}"),
        ("sessions", " ".join(live) or "none"),
    ]
    output.result(fields, text.columns(rows), command.wants_json)
    return 0
