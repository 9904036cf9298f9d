"""What would happen if a key asked for a command: judged by the functions that judge it when it does. Does nothing.

A command's module may have `foresee(context, command)`, the checks with which its `run` begins.
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

    T = TypeVar("T")


class Step(Record):
    """One judgement: the file that decides (with its line, if it has one), what it says, whether one may go on."""

    where: str
    says: str
    passes: bool


SSHD_REFUSES = 255
"""What `ssh` exits with then: the caller learns no more, and nothing of ours is asked."""


class Stop(Exception):
    """A step that does not pass, and the exit status that the caller would get."""

    def __init__(self, step: Step, status: int) -> None:
        super().__init__(step.says)
        self.step = step
        self.status = status


def main(config_path: str, fd: int) -> int:
    """Print the steps for the `fingerprint`, `origin` (an address, "" for anywhere) and `line` behind `fd`; 0."""
    with os.fdopen(fd, "rb") as file:
        asked = json.loads(file.read())
    steps: list[Step] = []
    status = 0
    try:
        _judge(config_path, asked["fingerprint"], asked["origin"], asked["line"], steps)
    except Stop as stop:
        steps.append(stop.step)
        status = stop.status
    output.write(1, json.dumps({"exit": status, "steps": [step.as_dict() for step in steps]}) + "\n")
    return 0


def _judge(config_path: str, fingerprint: str, origin: str, line: str | None, steps: list[Step]) -> None:
    settings = _try(config_path, lambda: loader.load(config_path))
    steps.append(Step(where=config_path, says="the configuration is sound", passes=True))
    entry = _line(settings.paths_authorized_keys, fingerprint, origin)
    where = f"{settings.paths_authorized_keys}:{entry.line}"
    entries = authorized_keys.load(settings.paths_authorized_keys)
    caller = _try(where, lambda: authentication.of_entry(entry))
    limited = (
        f", from {entry.option_value('from')} alone (sshd sees to that; --from tries it)"
        if entry.option_value("from")
        else ""
    )
    if origin:
        limited = f", and may come from {origin}"
    if isinstance(caller, authentication.Invitation):
        from rshell.front import enrol

        invited = caller
        steps.append(Step(where=where, says=f"the key is an invitation for {caller.principal}{limited}", passes=True))
        _try(_place(enrol.judge), lambda: enrol.judge(settings, invited, line))
        steps.append(Step(where=_place(enrol.judge), says="it may hand in one key, once", passes=True))
        return
    known = caller
    _try(where, lambda: authentication.require_listed(known, entries))
    steps.append(Step(where=where, says=f"the key is {caller.principal}'s{limited}", passes=True))
    context = Context(
        config=settings,
        caller=caller,
        label=entry.label,
        audit=AuditLog(settings.paths_audit),
        request="",
        began=0.0,
    )
    _command(config_path, context, line, steps)


def _command(config_path: str, context: Context, line: str | None, steps: list[Step]) -> None:
    asked = command.PROMPT if line is None else _try("", lambda: command.parse(line))
    steps.append(Step(where=_place(command.parse), says=f"it is {asked.verb.name}: {asked.verb.summary}", passes=True))
    for decision in policy.decisions(asked, context):
        if isinstance(decision, policy.Deny):
            where = _setting(config_path, decision.setting) if decision.setting else _place(policy.decisions)
            raise Stop(Step(where=where, says=decision.because.line(), passes=False), decision.because.code)
    steps.append(Step(where=_place(policy.decisions), says="it is allowed", passes=True))
    if asked is command.PROMPT or asked.wants_help:
        return
    module = __import__(f"rshell.commands.{asked.verb.module}", fromlist=["run"])
    foresee = getattr(module, "foresee", None)
    where = ""
    if asked.project:
        # not context.vaults_home, which makes the directory
        home = os.path.join(context.config.paths_vaults, context.caller.principal.directory)
        where = os.path.join(home, asked.project)
        if not os.path.isdir(home):
            if asked.verb.name != "new":
                _try(where, lambda: store.find(home, asked.project))  # type: ignore[arg-type]
            return
        if foresee is None:
            _try(where, lambda: context.vault(asked.project))
    if foresee:
        _try(where, lambda: foresee(context, asked))
        steps.append(Step(where=where or _place(foresee), says="nothing stands against it now", passes=True))


def _line(path: str, fingerprint: str, origin: str) -> authorized_keys.Entry:
    """The line by which sshd would let the key in: the first that it has nothing against."""
    entries = _try(path, lambda: [entry for entry in authorized_keys.load(path) if _print(entry) == fingerprint])
    against = [_against(entry, origin) for entry in entries]
    if "" in against:
        return entries[against.index("")]
    where, says = path, "no line has this key, so sshd lets nobody in with it"
    if entries:
        where, says = f"{path}:{entries[0].line}", f"sshd lets nobody in by this line: {against[0]}"
    raise Stop(Step(where=where, says=says, passes=False), SSHD_REFUSES)


def _against(entry: authorized_keys.Entry, origin: str) -> str:
    """What sshd has against this line now, for somebody from `origin`; "" for nothing."""
    if entry.problem:
        return entry.problem
    if time.time() > entry.expires:
        return "the key has expired (expiry-time)"
    patterns = entry.option_value("from")
    return from_patterns.refusal(patterns, origin) if origin and patterns else ""


def _print(entry: authorized_keys.Entry) -> str:
    try:
        return authorized_keys.fingerprint(entry.blob)
    except ValueError:
        return ""


def _try(where: str, judge: Callable[[], T]) -> T:
    """What `judge` says, or a Stop at `where` (by default the line of ours that refused)."""
    try:
        return judge()
    except EncError as error:
        raise Stop(Step(where=where or _raised(error), says=error.line(), passes=False), error.code) from error


def _setting(config_path: str, name: str) -> str:
    """Where a key of the configuration has its value."""
    with open(config_path, encoding="utf-8") as file:
        located = toml.parse(file.read()).get(name)
    return f"{config_path}:{located.line}" if located else f"{config_path} ({name} is at its default)"


def _raised(error: EncError) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return _ours(trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ""


def _place(function: Callable[..., object]) -> str:
    return _ours(function.__code__.co_filename, function.__code__.co_firstlineno)


def _ours(path: str, line: int) -> str:
    return f"{os.path.relpath(path, interpreter.code_root())}:{line}"
