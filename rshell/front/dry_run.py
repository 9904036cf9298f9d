"""A dry run: what would happen if a key asked for a command. Changes and records nothing.

The decisions come from the same functions as at a login. A command's module may have `check(context, command)`: the
checks that its `run` makes first.
"""

from __future__ import annotations

import os
import time

from gateway.audit.log import AuditLog
from gateway.base import interpreter, json, toml
from gateway.base.records import Record
from gateway.config import loader
from gateway.errors import EncError
from gateway.identity import authentication, authorized_keys, from_patterns
from gateway.vault import store
from rshell.context import Context
from rshell.front import policy
from rshell.language import command
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from gateway.config.schema import Config

    T = TypeVar("T")


class Step(Record):
    """One decision: the file that decides, with the line if there is one; the decision in words; whether it passes."""

    where: str
    says: str
    passes: bool


SSHD_REFUSES = 255
"""The exit status of `ssh` when sshd refuses the key. None of our code runs then."""


class Refusal(Exception):
    """A step that does not pass, and the exit status that the caller would get."""

    def __init__(self, step: Step, status: int) -> None:
        super().__init__(step.says)
        self.step = step
        self.status = status


def main(config_path: str, fd: int) -> int:
    """Print the steps and the exit status as JSON; return 0.

    `fd` has the question as JSON: `fingerprint`, `origin` (an address, "" for any) and `line` (null: the prompt).
    """
    with os.fdopen(fd, "rb") as file:
        asked = json.loads(file.read())
    steps: list[Step] = []
    status = 0
    try:
        _run_steps(config_path, asked["fingerprint"], asked["origin"], asked["line"], steps)
    except Refusal as refusal:
        steps.append(refusal.step)
        status = refusal.status
    output.write(1, json.dumps({"exit": status, "steps": [step.as_dict() for step in steps]}) + "\n")
    return 0


def _run_steps(config_path: str, fingerprint: str, origin: str, line: str | None, steps: list[Step]) -> None:
    """Append the steps that pass to `steps`. Raises Refusal at the first that does not."""
    settings = _decide(config_path, lambda: loader.load(config_path))
    steps.append(_passed(config_path, "the configuration is sound"))
    entry = _entry_of_key(settings.paths_authorized_keys, fingerprint, origin)
    where = f"{settings.paths_authorized_keys}:{entry.line}"
    caller = _decide(where, lambda: authentication.of_entry(entry))
    if isinstance(caller, authentication.Invitation):
        steps.append(_passed(where, f"the key is an invitation for {caller.principal}{_from_note(entry, origin)}"))
        _enrolment(settings, caller, line, steps)
        return
    identity = caller
    entries = authorized_keys.load_key(settings.paths_authorized_keys, caller.blob)
    _decide(where, lambda: authentication.require_listed(identity, entries))
    steps.append(_passed(where, f"the key is {caller.principal}'s{_from_note(entry, origin)}"))
    log = AuditLog(settings.paths_audit)
    context = Context(config=settings, caller=caller, label=entry.label, audit=log, request="", began=0.0)
    _command(config_path, context, line, steps)


def _from_note(entry: authorized_keys.Entry, origin: str) -> str:
    """What the step says of the addresses from which sshd accepts the key."""
    if origin:
        return f"; sshd accepts it from {origin}"
    patterns = entry.option_value("from")
    return f"; sshd accepts it only from {patterns} (--from tries an address)" if patterns else ""


def _enrolment(settings: Config, caller: authentication.Invitation, line: str | None, steps: list[Step]) -> None:
    from rshell.front import enrol

    where = _location_of(enrol.authorize)
    _decide(where, lambda: enrol.authorize(settings, caller, line))
    steps.append(_passed(where, "it may hand in one key, once"))


def _command(config_path: str, context: Context, line: str | None, steps: list[Step]) -> None:
    asked = command.PROMPT if line is None else _decide("", lambda: command.parse(line))
    steps.append(_passed(_location_of(command.parse), f"it is {asked.verb.name}: {asked.verb.summary}"))
    here = _location_of(policy.decisions)
    for decision in policy.decisions(asked, context):
        if isinstance(decision, policy.Deny):
            where = _setting_location(config_path, decision.setting) if decision.setting else here
            raise Refusal(Step(where=where, says=decision.because.line(), passes=False), decision.because.code)
    steps.append(_passed(here, "it is allowed"))
    if asked is command.PROMPT or asked.wants_help:
        return
    module = __import__(f"rshell.commands.{asked.verb.module}", fromlist=["run"])
    check = getattr(module, "check", None)
    where = ""
    if asked.project:
        # not context.vaults_home, which creates the directory
        home = os.path.join(context.config.paths_vaults, context.caller.principal.directory)
        where = os.path.join(home, asked.project)
        if not os.path.isdir(home):
            if asked.verb.name != "new":
                _decide(where, lambda: store.find(home, asked.project))  # type: ignore[arg-type]
            return
        if check is None:
            _decide(where, lambda: context.vault(asked.project))
    if check:
        _decide(where, lambda: check(context, asked))
        steps.append(_passed(where or _location_of(check), "nothing prevents it now"))


def _passed(where: str, says: str) -> Step:
    return Step(where=where, says=says, passes=True)


def _entry_of_key(path: str, fingerprint: str, origin: str) -> authorized_keys.Entry:
    """The first line with the key that sshd accepts. Raises Refusal if there is none."""
    entries = _decide(path, lambda: [one for one in authorized_keys.load(path) if _fingerprint(one) == fingerprint])
    problems = [_sshd_problem(entry, origin) for entry in entries]
    if "" in problems:
        return entries[problems.index("")]
    where, says = path, "no line has this key, so sshd refuses it"
    if entries:
        where, says = f"{path}:{entries[0].line}", f"sshd refuses the key of this line: {problems[0]}"
    raise Refusal(Step(where=where, says=says, passes=False), SSHD_REFUSES)


def _sshd_problem(entry: authorized_keys.Entry, origin: str) -> str:
    """Why sshd would refuse this line now to a caller from `origin`; "" if it would not."""
    if entry.problem:
        return entry.problem
    if entry.has_expired(time.time()):
        return "the key has expired (expiry-time)"
    patterns = entry.option_value("from")
    return from_patterns.refusal(patterns, origin) if origin and patterns else ""


def _fingerprint(entry: authorized_keys.Entry) -> str:
    """The fingerprint of the line's key; "" for what is no key."""
    try:
        return authorized_keys.fingerprint(entry.blob)
    except ValueError:
        return ""


def _decide(where: str, check: Callable[[], T]) -> T:
    """The result of `check`. An EncError becomes a Refusal at `where` ("": the line of our code that raised it)."""
    try:
        return check()
    except EncError as error:
        raise Refusal(Step(where=where or _raised_at(error), says=error.line(), passes=False), error.code) from error


def _setting_location(config_path: str, name: str) -> str:
    """The line of the configuration file that sets a key."""
    with open(config_path, encoding="utf-8") as file:
        located = toml.parse(file.read()).get(name)
    return f"{config_path}:{located.line}" if located else f"{config_path} ({name} is at its default)"


def _raised_at(error: EncError) -> str:
    """The file and line of our code that raised `error`."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return _relative(trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ""


def _location_of(function: Callable[..., object]) -> str:
    """The file and line where `function` is defined."""
    return _relative(function.__code__.co_filename, function.__code__.co_firstlineno)


def _relative(path: str, line: int) -> str:
    return f"{os.path.relpath(path, interpreter.code_root())}:{line}"
