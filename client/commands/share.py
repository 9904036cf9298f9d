"""`enc share`."""

from __future__ import annotations

from typing import Any

import click

from client import options, output
from client.completion import OWN_PROJECT
from client.connection import remote_command, request
from client.errors import Usage
from client.operations import projects, unlocking
from client.state.config import Profile


@click.command("share")
@OWN_PROJECT
@click.argument("who", required=False)
@click.option("--read", "read_only", is_flag=True, help="They may read PROJECT and change nothing.")
@click.option("--days", type=click.IntRange(1, 90), help="How long the invitation is good (default: 7).")
@options.gateway
def command(profile: Profile, project: str, who: str | None, read_only: bool, days: int | None, as_json: bool) -> int:
    """Invite WHO to PROJECT: prints a code for them. Without WHO, list the members.

    WHO is the name that `enc whoami` shows them. They type `enc accept` and the code, which is good once. Everybody
    works in the same files at the same time. It asks for the passphrase, unless a key of yours unlocks the project.
    """
    projects.check_name(project)
    if who is None:
        if read_only or days:
            raise Usage("name whom you invite", f"enc share {project} WHO")
        return _list(profile, project, as_json)
    flags = ["--read"] * read_only + (["--days", str(days)] if days else [])
    opened = unlocking.ask(profile, project, "share", project, who, *flags, checks_first=True)
    if opened.note:
        output.note(opened.note)
    output.result(opened.answer, _words(opened.answer, project), as_json)
    return 0


def _words(answer: dict[str, Any], project: str) -> str:
    who, may = answer["member"], "read" if answer["role"] == "reader" else "read and write"
    lines = [
        f"{who} can {may} {project} once they have accepted.",
        f"The code, which is shown once and is good once, until {output.when(str(answer['expires']))}:",
        f"\n    {answer['code']}\n",
        f"Give it to {who} alone, over a channel that you trust. They type: enc accept {answer['name']}",
    ]
    if answer.get("after_lock"):
        lines.append(f"{who} can join after you have unmounted {project} and mounted it again.")
    return "\n".join(lines)


def _list(profile: Profile, project: str, as_json: bool) -> int:
    if as_json or not output.is_for_person():
        return remote_command.run(profile, ["share", project, *(["--json"] if as_json else [])])
    members = request.ask(profile, "share", project)["members"]
    output.result({}, output.columns([("MEMBER", "ROLE", "STATE"), *map(_row, members)]), False)
    return 0


def _row(one: dict[str, Any]) -> tuple[str, str, str]:
    if one["invited_until"]:
        return str(one["member"]), str(one["role"]), f"invited until {output.when(str(one['invited_until']))}"
    since = f"since {output.when(str(one['since']))}" if one["since"] else ""
    state = ", ".join(filter(None, (since, "has it unlocked" if one["holds"] else "")))
    return str(one["member"]), str(one["role"]), state or "-"
