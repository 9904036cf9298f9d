"""`enc-gateway why`: would a command be allowed, and what decides that?"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.keys import lookup
from gateway.admin.keys.lookup import Named
from gateway.base import interpreter, json, privileges, process
from gateway.base.records import Record
from gateway.errors import Internal, Usage
from gateway.identity import authorized_keys, from_patterns
from gateway.identity.names import Principal


class Step(Record):
    """As rshell.front.dry_run.Step."""

    rule: str
    where: str
    says: str
    passes: bool


class Decision(Record):
    """The result of a dry run: all checks, and the exit status that they alone would give the caller."""

    exit: int
    steps: tuple[Step, ...]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("key")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND]...")
@options.config_path
@click.option(
    "--from", "origin", default="", metavar="ADDRESS", help="The caller's IP address, to check the key's from= option."
)
@options.as_json
def why(key: str, words: tuple[str, ...], settings: Path, origin: str, as_json: bool) -> None:
    """Explain whether a key may run a command.

    KEY is a fingerprint or the beginning of one, a label, or a principal who has one key: see `key list`. Without
    COMMAND, the prompt is checked. Each line is one check of a login, by the name of its rule, with what decides it.
    Nothing is done or recorded. Exits with 0, or with the caller's exit status (255: sshd refuses the key). Options go
    before KEY.
    """
    if origin and from_patterns.parse_address(origin) is None:
        raise Usage("--from takes an IP address", "for example --from 10.1.2.3")
    fingerprint = key if lookup.is_whole(key) else _find(str(settings), key)
    Principal.of_fingerprint(fingerprint)
    line = " ".join(words) if words else None
    decision = dry_run(str(settings), fingerprint, line, origin)
    verdict = f"It would be refused, with exit {decision.exit}." if decision.exit else "It would be carried out."
    fields = {
        "fingerprint": fingerprint,
        "command": line,
        "allowed": not decision.exit,
        "exit": decision.exit,
        "steps": [step.as_dict() for step in decision.steps],
    }
    output.result(fields, output.visible_lines([*map(_line, decision.steps), verdict]), as_json)
    sys.exit(decision.exit)


def _line(step: Step) -> str:
    where = f" ({step.where})" if step.where else ""
    return f"{'ok' if step.passes else 'NO'}  {step.rule}: {step.says}{where}"


def _find(settings: str, word: str) -> str:
    """The fingerprint of the key that `word` names. Raises Usage, NoSuchKey."""
    config, ids, _ = options.load_usable(Path(settings))
    with privileges.account(*ids):
        entries = authorized_keys.load(config.paths_authorized_keys)
    keys = lookup.of_entries(entries)
    listed = [one for one in keys if not one.is_invitation]  # a name means the keys, as long as there is one
    return lookup.find(word, listed if _names(word, listed) else keys, lookup.nobody(word))


def _names(word: str, keys: list[Named]) -> bool:
    return any(lookup.names(word, one) for one in keys)


def dry_run(settings: str, fingerprint: str, line: str | None, origin: str = "") -> Decision:
    """Run the checks of a login (rshell/front/why.py) as the gateway's account. Raises EncError."""
    argv = interpreter.python("rshell/front/why.py", settings)
    fd = process.memory_file(json.dumps({"fingerprint": fingerprint, "origin": origin, "line": line}).encode())
    try:
        with contextlib.ExitStack() as work:
            if privileges.invoker() == 0:
                work.enter_context(privileges.account(*options.load_usable(Path(settings))[1]))
            status, output = process.run([*argv, str(fd)], [fd])
    finally:
        os.close(fd)
    try:
        values = json.loads(output)
        return Decision(exit=values["exit"], steps=tuple(Step(**step) for step in values["steps"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Internal(f"rshell/front/why.py gave no answer and exited with {status}") from error
