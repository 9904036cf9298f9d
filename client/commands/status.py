"""`enc status`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.connection import remote_command, request
from client.errors import EncError, Missing
from client.mount import condition
from client.state import hosts
from client.state import store as stores
from client.state.config import Profile
from client.state.records import State


@click.command("status")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show what is mounted here, and your sessions on the gateway. This does not count as activity."""
    known = [(each, _state(each)) for each in hosts.all_of(profile)]
    about = [
        {
            "project": mount.project,
            "directory": mount.directory,
            "condition": condition.of(mount),
            "until": condition.until(state, mount),
            **({"host": each.other} if each.other else {}),
        }
        for each, state in known
        for mount in state.mounts.values()
    ]
    if not as_json and not output.is_for_person():
        for mount in about:
            where = f" at {mount['directory']}" if mount["directory"] else ""
            on = f" on {mount['host']}" if "host" in mount else ""
            click.echo(f"{mount['project']} is mounted{where}{on}: {mount['condition']}")
        return remote_command.run(hosts.connected(profile), ["status"])
    answer = _asked(profile)
    own = {state.connection.session for _, state in known if state.connection}
    parts = [*_mounted(about), *(_session(one, own) for one in answer["sessions"])]
    output.result({"mounts": about, **answer}, "\n\n".join(parts) or "nothing is mounted or unlocked", as_json)
    return 0


def _state(profile: Profile) -> State:
    try:
        return stores.of(profile).read()
    except Missing:
        return State()


def _asked(profile: Profile) -> dict[str, Any]:
    """What the gateway says, and each other host of its cluster with which we are connected: what a host says of its
    own sessions is more than what others know of them.
    """
    there = [each for each in hosts.all_of(profile) if stores.connected(each)] or [profile]
    answers = []
    for each in there:
        try:
            answers.append(request.ask(each, "status"))
        except EncError as error:
            if not (answers or each != there[-1]):
                raise
            output.note(f"enc: {each.called}: {error}")
    sessions: dict[str, dict[str, Any]] = {}
    for one in (one for answer in answers for one in answer["sessions"]):
        if "idle" in one or str(one["id"]) not in sessions:
            sessions[str(one["id"])] = one
    return {**answers[0], "sessions": list(sessions.values())}


def _mounted(about: list[dict[str, str]]) -> list[str]:
    rows: list[tuple[str, ...]] = [("MOUNTED", "AT", "UNTIL", "ON")]
    for one in about:
        until = one["until"] if one["condition"] == "watched" else one["condition"]
        rows.append((one["project"], output.short(one["directory"]) or "-", until, one.get("host", "-")))
    is_alone = not any("host" in one for one in about)
    return [output.columns([row[:-1] if is_alone else row for row in rows])] if about else []


def _session(one: dict[str, Any], own: set[str]) -> str:
    """A session in lines of at most 80 columns. A key has the label that it has on the gateway, if it has one."""
    holders = one.get("holders", ())  # of an older gateway: none
    others = [_holder(each) for each in holders if not each.get("here")] if len(holders) > 1 else []
    joined = any(each.get("here") for each in holders)
    from_where = "joined by this machine" if joined else f"from {one['address']}"
    which = "this machine's" if one["id"] in own else from_where
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
