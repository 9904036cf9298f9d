"""`enc-gateway why`: what would happen, and what decides it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.base import interpreter, json, privileges, process
from gateway.base.records import Record
from gateway.config import loader
from gateway.errors import Internal, Usage
from gateway.identity import from_patterns
from gateway.identity.names import Principal


class Step(Record):
    """A judgement: the file that decides it, what it says, and whether the caller may go on."""

    where: str
    says: str
    passes: bool


class Told(Record):
    """What a dry run came to: the exit status that the caller would get from judging alone, and the judgements."""

    exit: int
    steps: tuple[Step, ...]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("fingerprint")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND]...")
@click.option(
    "--config", "settings", default=options.CONFIG, show_default=True, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option("--from", "origin", default="", metavar="ADDRESS", help="Where the caller would come from.")
@options.as_json
def why(fingerprint: str, words: tuple[str, ...], settings: Path, origin: str, as_json: bool) -> None:
    """Say what would happen if the key of this FINGERPRINT asked for COMMAND (none: the prompt).

    Each line is a judgement, by the very code that makes it at a login, and names the file that decides. Nothing is
    done or recorded. Exits with 0, or with what the caller would get (255 from sshd). Options stand before FINGERPRINT.
    """
    Principal.of_fingerprint(fingerprint)
    if origin and from_patterns.parse_address(origin) is None:
        raise Usage("--from takes an IP address", "a line's from= is tried against it, as sshd would")
    line = " ".join(words) if words else None
    told = dry_run(str(settings), fingerprint, line, origin)
    steps = [f"{'ok' if step.passes else 'NO'}  {step.where}: {step.says}" for step in told.steps]
    verdict = f"It would be refused, with exit {told.exit}." if told.exit else "It would be carried out."
    rows = [step.as_dict() for step in told.steps]
    fields = {"fingerprint": fingerprint, "command": line, "allowed": not told.exit, "exit": told.exit, "steps": rows}
    output.result(fields, output.visible_lines([*steps, verdict]), as_json)
    sys.exit(told.exit)


def dry_run(settings: str, fingerprint: str, line: str | None, origin: str = "") -> Told:
    """Have the installed front judge (rshell/front/why.py), as the account that it would run as. Raises EncError."""
    argv = interpreter.python("rshell/front/why.py", settings)
    fd = process.memory_file(json.dumps({"fingerprint": fingerprint, "origin": origin, "line": line}).encode())
    try:
        with contextlib.ExitStack() as work:
            if privileges.invoker() == 0:
                work.enter_context(privileges.account(*privileges.owner(loader.load(settings).paths_vaults)))
            status, said = process.run([*argv, str(fd)], [fd])
    finally:
        os.close(fd)
    try:
        values = json.loads(said)
        return Told(exit=values["exit"], steps=tuple(Step(**step) for step in values["steps"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Internal(f"the front gave no answer, and ended with {status}") from error
