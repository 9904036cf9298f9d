"""A dry run: what would happen if a key asked for a command. Changes and records nothing.

The decisions come from the same functions as at a login. A command's module may have `check(context, command)`: the
checks that its `run` makes first.
"""

from __future__ import annotations

import os
import time

from gateway.audit.log import AuditLog
from gateway.base import json, toml
from gateway.base.records import Record
from gateway.config import loader
from gateway.errors import EncError
from gateway.identity import authentication, authorized_keys, from_patterns
from gateway.identity.names import Principal, SharedName, in_vault
from gateway.vault import store
from gateway.vault.members import links, membership
from gateway.vault.slots.stored import Slot
from gateway.vault.store import Vault
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
    """One check: the rule by its name in docs/administration.md, the place of what a sysadmin can change about it (a
    line of a file, a vault; "": nothing), the result in words, and whether the caller passes.
    """

    rule: str
    where: str
    says: str
    passes: bool


CONFIGURATION, KEY, COMMAND, MEMBERSHIP, PERMISSION, ENROLMENT, PROJECT, REQUEST = (
    *("configuration", "key", "command", "membership", "permission", "enrolment"),
    *("project", "request"),
)
"""The rules, in the order of the checks. MEMBERSHIP says what the caller is to somebody else's project, and explains
what the others decide. PROJECT is about the project that the command names, REQUEST about what else the command needs.
"""

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
    settings = _decide(CONFIGURATION, config_path, lambda: loader.load(config_path))
    steps.append(_passed(CONFIGURATION, config_path, "it is sound"))
    entry = _entry_of_key(settings.paths_authorized_keys, fingerprint, origin)
    where = f"{settings.paths_authorized_keys}:{entry.line}"
    caller = _decide(KEY, where, lambda: authentication.of_entry(entry))
    if isinstance(caller, authentication.Invitation):
        says = f"it is an invitation for {caller.principal}{_from_note(entry, origin)}"
        steps.append(_passed(KEY, where, says))
        _enrolment(settings, caller, line, steps)
        return
    identity = caller
    entries = authorized_keys.load_key(settings.paths_authorized_keys, caller.blob)
    _decide(KEY, where, lambda: authentication.require_listed(identity, entries))
    steps.append(_passed(KEY, where, f"it is {caller.principal}'s{_from_note(entry, origin)}"))
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

    _decide(ENROLMENT, "", lambda: enrol.authorize(settings, caller, line))
    steps.append(_passed(ENROLMENT, "", "it may hand in one key, once"))


def _command(config_path: str, context: Context, line: str | None, steps: list[Step]) -> None:
    asked = command.PROMPT if line is None else _decide(COMMAND, "", lambda: command.parse(line))
    asked = asked.asked_by(context.caller.principal)
    steps.append(_passed(COMMAND, "", f"it is {asked.verb.name}: {asked.verb.summary}"))
    if isinstance(asked.project, SharedName):
        steps.append(_membership(context, asked.project))
    for decision in policy.decisions(asked, context):
        if isinstance(decision, policy.Deny):
            where = _setting_location(config_path, decision.setting) if decision.setting else ""
            step = Step(rule=PERMISSION, where=where, says=decision.because.line(), passes=False)
            raise Refusal(step, decision.because.code)
    steps.append(_passed(PERMISSION, "", "it is allowed"))
    if asked is command.PROMPT or asked.wants_help:
        return
    module = __import__(f"rshell.commands.{asked.verb.module}", fromlist=["run"])
    check = getattr(module, "check", None)
    where = ""
    if asked.project:
        # not context.vaults_home, which creates the directory
        home, name = context.vaults_of(context.owner_of(asked.project)), in_vault(asked.project)
        where = os.path.join(home, name)
        if not os.path.isdir(home) and not isinstance(asked.project, SharedName):
            if asked.verb.name != "new":
                _decide(PROJECT, where, lambda: store.find(home, name))
            return
        if check is None:
            _decide(PROJECT, where, lambda: context.vault(asked.project))
    if check:
        rule = PROJECT if asked.project else REQUEST
        found = _decide(rule, where, lambda: check(context, asked))
        owner = context.owner_of(asked.project)
        ways = _ways(context, owner, found) if asked.project else ""
        steps.append(_passed(rule, where, f"nothing prevents it now{ways}"))


def _membership(context: Context, name: SharedName) -> Step:
    """What the slots of the vault say of the caller, who hears of a project only when they are a member."""
    caller, path = context.caller.principal, os.path.join(context.vaults_of(name.owner), name.project)
    passes = False
    try:
        if not os.path.isdir(path):
            says = f"there is no project {name}"
        else:
            slots = store.check(Vault(name=name, path=path))
            who = membership.find(slots, name.owner, caller)
            linked = links.find(context.config.paths_vaults, caller, name)
            says = f"{caller} has no slot in {name}"
            if who:
                invited = f", invited until {who.invited_until}" if who.invited_until else f", since {who.since}"
                says = f"{caller} is a {who.role.value} of {name}{invited}"
                passes = linked is not None
                says += "" if passes else ", but the link to it is missing: `enc-gateway sweep`"
    except EncError as error:
        says = error.line()
    return Step(rule=MEMBERSHIP, where=path, says=says, passes=passes)


def _ways(context: Context, owner: Principal, found: object) -> str:
    """For a check that returns slots: the caller's ways to unlock the project."""
    slots = [one for one in found if isinstance(one, Slot)] if isinstance(found, tuple) else []
    slots = [one for one in slots if one.is_of(context.caller.principal, owner)]
    words = [
        f"{one.name} ({authorized_keys.fingerprint(one.public_key)})" if one.public_key else one.name for one in slots
    ]
    return f"; the caller's ways to unlock it: {', '.join(words)}" if words else ""


def _passed(rule: str, where: str, says: str) -> Step:
    return Step(rule=rule, where=where, says=says, passes=True)


def _entry_of_key(path: str, fingerprint: str, origin: str) -> authorized_keys.Entry:
    """The first line with the key that sshd accepts. Raises Refusal if there is none."""
    entries = _decide(
        KEY, path, lambda: [one for one in authorized_keys.load(path) if _fingerprint(one) == fingerprint]
    )
    problems = [_sshd_problem(entry, origin) for entry in entries]
    if "" in problems:
        return entries[problems.index("")]
    where, says = path, "no line has this key, so sshd refuses it"
    if entries:
        where, says = f"{path}:{entries[0].line}", f"sshd refuses the key of this line: {problems[0]}"
    raise Refusal(Step(rule=KEY, where=where, says=says, passes=False), SSHD_REFUSES)


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


def _decide(rule: str, where: str, check: Callable[[], T]) -> T:
    """The result of `check`. An EncError becomes a Refusal by `rule`."""
    try:
        return check()
    except EncError as error:
        step = Step(rule=rule, where=where, says=error.line(), passes=False)
        raise Refusal(step, error.code) from error


def _setting_location(config_path: str, name: str) -> str:
    """The line of the configuration file that sets a key."""
    with open(config_path, encoding="utf-8") as file:
        located = toml.parse(file.read()).get(name)
    return f"{config_path}:{located.line} ({name})" if located else f"{config_path} ({name} is at its default)"
