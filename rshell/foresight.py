"""What would happen if a key asked for a command: judged by the functions that judge it when it does. Does nothing.

A command's module may have `foresee(context, command)`, the checks with which its `run` begins.
"""

from __future__ import annotations

import os

from gateway import audit, authorized_keys, config, identity, plainjson, plaintoml, sandbox, vaults
from gateway.errors import EncError, NotYours
from gateway.record import Record
from rshell import command, policy, terminal
from rshell.context import Context

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


class Stop(Exception):
    """A step that does not pass, and the error that the caller would see."""

    def __init__(self, step: Step, error: EncError) -> None:
        super().__init__(step.says)
        self.step = step
        self.error = error


def main(config_path: str, fd: int) -> int:
    """Print the steps for the `fingerprint` and `line` behind `fd`; 0."""
    with os.fdopen(fd, "rb") as file:
        asked = plainjson.loads(file.read())
    steps: list[Step] = []
    status = 0
    try:
        _judge(config_path, asked["fingerprint"], asked["line"], steps)
    except Stop as stop:
        steps.append(stop.step)
        status = stop.error.code
    terminal.write(1, plainjson.dumps({"exit": status, "steps": [step.as_dict() for step in steps]}) + "\n")
    return 0


def _judge(config_path: str, fingerprint: str, line: str | None, steps: list[Step]) -> None:
    settings = _try(config_path, lambda: config.load(config_path))
    steps.append(Step(where=config_path, says="the configuration is sound", passes=True))
    entry = _line(settings.paths_authorized_keys, fingerprint)
    where = f"{settings.paths_authorized_keys}:{entry.line}"
    entries = authorized_keys.load(settings.paths_authorized_keys)
    caller = _try(where, lambda: identity.of_entry(entry))
    limited = f", from {entry.value('from')} alone (sshd sees to that)" if entry.value("from") else ""
    if isinstance(caller, identity.Invitation):
        from rshell import enrol

        invited = caller
        steps.append(Step(where=where, says=f"the key is an invitation for {caller.principal}{limited}", passes=True))
        _try(_place(enrol.judge), lambda: enrol.judge(settings, invited, line))
        steps.append(Step(where=_place(enrol.judge), says="it may hand in one key, once", passes=True))
        return
    known = caller
    _try(where, lambda: identity.still_listed(known, entries))
    steps.append(Step(where=where, says=f"the key is {caller.principal}'s{limited}", passes=True))
    context = Context(
        config=settings,
        caller=caller,
        label=entry.label,
        audit=audit.AuditLog(settings.paths_audit),
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
            raise Stop(Step(where=where, says=decision.because.line(), passes=False), decision.because)
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
                _try(where, lambda: vaults.find(home, asked.project))  # type: ignore[arg-type]
            return
        if foresee is None:
            _try(where, lambda: context.vault(asked.project))
    if foresee:
        _try(where, lambda: foresee(context, asked))
        steps.append(Step(where=where or _place(foresee), says="nothing stands against it now", passes=True))


def _line(path: str, fingerprint: str) -> authorized_keys.Entry:
    """The first line with the key by which sshd would let it in, else the first with the key."""
    try:
        entries = [entry for entry in authorized_keys.load(path) if _print(entry) == fingerprint]
    except EncError as error:
        raise Stop(Step(where=path, says=error.line(), passes=False), error) from error
    good = [entry for entry in entries if not entry.problem]
    if good:
        return good[0]
    where, says = path, "no line has this key, so sshd lets nobody in with it"
    if entries:
        where, says = f"{path}:{entries[0].line}", f"sshd lets nobody in by this line: {entries[0].problem}"
    raise Stop(Step(where=where, says=says, passes=False), NotYours(says))


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
        raise Stop(Step(where=where or _raised(error), says=error.line(), passes=False), error) from error


def _setting(config_path: str, name: str) -> str:
    """Where a key of the configuration has its value."""
    with open(config_path, encoding="utf-8") as file:
        located = plaintoml.parse(file.read()).get(name)
    return f"{config_path}:{located.line}" if located else f"{config_path} ({name} is at its default)"


def _raised(error: EncError) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return _ours(trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ""


def _place(function: Callable[..., object]) -> str:
    return _ours(function.__code__.co_filename, function.__code__.co_firstlineno)


def _ours(path: str, line: int) -> str:
    return f"{os.path.relpath(path, sandbox.code_root())}:{line}"
