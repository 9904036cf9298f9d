"""`enc slots`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.completion import PROJECT
from client.connection import remote_command, request
from client.state.config import Profile


@click.command("slots")
@PROJECT
@options.gateway
def command(profile: Profile, project: str, as_json: bool) -> int:
    """List the ways to unlock PROJECT: kind, whose, since when, when last used, and which key."""
    if as_json or not output.is_for_person():
        return remote_command.run(profile, ["slots", project, *(["--json"] if as_json else [])])
    slots = request.ask(profile, "slots", project)["slots"]
    rows = [("SLOT", "KIND", "WHOSE", "CREATED", "LAST USED", "KEY"), *map(_row, slots)]
    output.result({}, output.columns(rows), False)
    return 0


def _row(slot: dict[str, Any]) -> tuple[str, str, str, str, str, str]:
    times = output.when(str(slot["created"])), output.when(str(slot["last_used"]))
    key = f"{slot['key']} {slot['label']}".strip() if slot["key"] else "-"
    return str(slot["slot"]), str(slot["kind"]), str(slot["principal"]), *times, key
