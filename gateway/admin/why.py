"""`enc-gateway why`: would a command be allowed, and what decides that?"""

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
    """One check: the file (and line) that decides it, its result in words, and whether the caller passes."""

    where: str
    says: str
    passes: bool


class Decision(Record):
    """The result of a dry run: all checks, and the exit status that they alone would give the caller."""

    exit: int
    steps: tuple[Step, ...]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("fingerprint")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND]...")
@options.config_path
@click.option(
    "--from", "origin", default="", metavar="ADDRESS", help="The caller's IP address, to check the key's from= option."
)
@options.as_json
def why(fingerprint: str, words: tuple[str, ...], settings: Path, origin: str, as_json: bool) -> None:
    """Explain whether a key may run a command.

    FINGERPRINT is the key's, as `key list` shows it. Without COMMAND, the prompt is checked. Each line is one check of
    a login, with the file that decides it. Nothing is done or recorded. Exits with 0, or with the caller's exit status
    (255: sshd refuses the key). Options go before FINGERPRINT.
    """
    Principal.of_fingerprint(fingerprint)
    if origin and from_patterns.parse_address(origin) is None:
        raise Usage("--from takes an IP address", "for example --from 10.1.2.3")
    line = " ".join(words) if words else None
    decision = dry_run(str(settings), fingerprint, line, origin)
    steps = [f"{'ok' if step.passes else 'NO'}  {step.where}: {step.says}" for step in decision.steps]
    verdict = f"It would be refused, with exit {decision.exit}." if decision.exit else "It would be carried out."
    rows = [step.as_dict() for step in decision.steps]
    fields = {
        "fingerprint": fingerprint,
        "command": line,
        "allowed": not decision.exit,
        "exit": decision.exit,
        "steps": rows,
    }
    output.result(fields, output.visible_lines([*steps, verdict]), as_json)
    sys.exit(decision.exit)


def dry_run(settings: str, fingerprint: str, line: str | None, origin: str = "") -> Decision:
    """Run the checks of a login (rshell/front/why.py) as the gateway's account. Raises EncError."""
    argv = interpreter.python("rshell/front/why.py", settings)
    fd = process.memory_file(json.dumps({"fingerprint": fingerprint, "origin": origin, "line": line}).encode())
    try:
        with contextlib.ExitStack() as work:
            if privileges.invoker() == 0:
                work.enter_context(privileges.account(*privileges.owner(loader.load(settings).paths_vaults)))
            status, output = process.run([*argv, str(fd)], [fd])
    finally:
        os.close(fd)
    try:
        values = json.loads(output)
        return Decision(exit=values["exit"], steps=tuple(Step(**step) for step in values["steps"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Internal(f"rshell/front/why.py gave no answer and exited with {status}") from error
