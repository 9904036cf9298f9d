"""`enc status`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.connection import remote_command, request
from client.errors import Missing
from client.mount import condition
from client.state import store as stores
from client.state.config import Profile
from client.state.records import State


@click.command("status")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show what is mounted here, and your sessions on the gateway. This does not count as activity."""
    try:
        state = stores.of(profile).read()
    except Missing:
        state = State()
    about = [
        {
            "project": mount.project,
            "directory": mount.directory,
            "condition": condition.of(mount),
            "until": condition.until(state, mount),
        }
        for mount in state.mounts.values()
    ]
    if not as_json and not output.is_for_person():
        for mount in about:
            where = f" at {mount['directory']}" if mount["directory"] else ""
            click.echo(f"{mount['project']} is mounted{where}: {mount['condition']}")
        return remote_command.run(profile, ["status"])
    answer = request.ask(profile, "status")
    sessions = answer["sessions"]
    own = state.connection.session if state.connection else ""
    parts = [*_mounted(about), *(_session(one, own) for one in sessions)]
    output.result({"mounts": about, **answer}, "\n\n".join(parts) or "nothing is mounted or unlocked", as_json)
    return 0


def _mounted(about: list[dict[str, str]]) -> list[str]:
    rows = [("MOUNTED", "AT", "UNTIL")]
    for one in about:
        until = one["until"] if one["condition"] == "watched" else one["condition"]
        rows.append((one["project"], output.short(one["directory"]) or "-", until))
    return [output.columns(rows)] if about else []


def _session(one: dict[str, Any], own: str) -> str:
    """A session in lines of at most 80 columns. A key has the label that it has on the gateway, if it has one."""
    holders = one.get("holders", ())  # of an older gateway: none
    others = [_holder(each) for each in holders if not each.get("here")] if len(holders) > 1 else []
    joined = any(each.get("here") for each in holders)
    from_where = "joined by this machine" if joined else f"from {one['address']}"
    which = "this machine's" if one["id"] == own else from_where
    key = str(one.get("label") or one["fingerprint"])
    if len(key) > _KEY_WIDTH:
        key = key[:_KEY_WIDTH] + "..."
    head = f"session {one['id']}, {which}, key {key}, since {output.when(str(one['since']))}"
    views = [_row(str(view["project"]), view) for view in one["views"]]
    rows = [("UNLOCKED", "LAST USE", "BY", "LOCKS IN"), *views, _row("(session)", one)]
    return "\n".join((head, *others, output.columns(rows)))


def _holder(one: dict[str, Any]) -> str:
    """Who else has what is unlocked in the session: another person, or another machine."""
    return f"also in: {one['principal']} ({one['role']}) from {one['address']}, since {output.when(str(one['since']))}"


_KEY_WIDTH = 24
_BY = {"sftp-server": "a mount or sftp", "line": "you typed", "command": "a command"}
"""What the gateway calls a use, in the words of its user."""


def _row(name: str, one: dict[str, Any]) -> tuple[str, str, str, str]:
    if "idle" not in one:
        return name, "-" if one.get("answers", True) else "does not answer", "-", "now" if "locking" in one else "-"
    programs = dict.fromkeys(by.partition(" from ")[0] for by in str(one["by"]).split(", ") if " from " in by)
    by = ", ".join(_BY.get(each, each) for each in [*programs] or [str(one["last_activity"])])
    return name, output.ago(int(one["idle"])), by, output.duration(int(one["locks_in"]))
