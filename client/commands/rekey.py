"""`enc rekey`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from client import options, output
from client.completion import OWN_PROJECT
from client.operations import projects, unlocking
from client.state.config import Profile
from client.system.terminal_text import printable


@click.command("rekey")
@OWN_PROJECT
@click.option("--discard", is_flag=True, help="Remove what an interrupted rekey has left, instead of continuing it.")
@options.gateway
def command(profile: Profile, project: str, discard: bool, as_json: bool) -> None:
    """Give PROJECT, which must be locked, a new key: for when somebody may have kept the old one.

    All files are copied into a new vault and compared; then it takes the place of the old one, which goes to the trash.
    It asks for the passphrase, unless a key of yours unlocks the project; what unlocked it unlocks the new one too.
    Other ways of yours have to be added again. A recovery code and invitations of other members are made new, and shown
    once. If it is interrupted, nothing has changed, and the same command continues.
    """
    projects.check_name(project)
    if discard:
        answer = unlocking.send(profile, "rekey", project, "--discard")
        output.result(answer, f"no rekey of {project} is under way any more", as_json)
        return
    shown = _Shown(project, as_json)
    opened = unlocking.ask(
        profile,
        project,
        "rekey",
        project,
        after_key=lambda key: unlocking.key_along(profile, project, key),
        told=shown.event,
    )
    shown.end()
    if opened.note:
        output.note(opened.note)
    answer = {**opened.answer, "codes": shown.codes, "unlocked_by": opened.by}
    output.result(answer, _words(project, opened.answer), as_json)


class _Shown:
    """What the gateway tells before its answer. A person sees codes as they come: the connection may break."""

    def __init__(self, project: str, as_json: bool) -> None:
        self._project, self._as_json = project, as_json
        self._at_terminal = sys.stderr.isatty()
        self._is_open = False
        self.codes: list[dict[str, Any]] = []

    def event(self, event: dict[str, Any]) -> None:
        if event["event"] == "codes":
            self.end()
            self.codes += [each for each in event.get("codes", []) if isinstance(each, dict)]
            for each in [] if self._as_json else self.codes:
                click.echo(_code(each) + "\n")
        if self._as_json:
            click.echo(json.dumps(event), err=True)
        elif event["event"] == "progress":
            words = f"{event.get('phase')} {self._project}: {event.get('files')} of {event.get('of')} files"
            self._is_open = self._at_terminal
            if self._at_terminal:
                click.echo(f"\r\x1b[K{printable(words)}", err=True, nl=False)
            else:
                output.note(words)

    def end(self) -> None:
        if self._is_open:
            click.echo("", err=True)
            self._is_open = False


def _code(each: dict[str, Any]) -> str:
    if each.get("kind") == "recovery":
        return output.recovery_code(each).strip()
    about = f"The invitation of {each.get('principal')} ({each.get('role')}), shown once, good until"
    return printable(f"{about} {each.get('expires')}:\n\n    {each.get('code')}")


def _words(project: str, answer: dict[str, Any]) -> str:
    dropped = [str(each.get("slot")) for each in answer.get("dropped", []) if isinstance(each, dict)]
    lines = [f"rekeyed {project}"]
    if "files" not in answer:
        lines[0] = f"{project} was rekeyed already by a call that was interrupted; this one has finished it"
    if dropped:
        lines.append(f"not carried over: {', '.join(dropped)}; `enc slot add {project} KIND` adds them again")
    lines.append(f"the old key opens the old vault, in the trash until `enc trash empty {project}`, and in backups")
    return "\n".join(lines)
