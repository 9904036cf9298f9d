"""What is allowed: one decision, as a value, for the front that enforces it and for whoever explains it."""

from __future__ import annotations

from gateway.base.records import Record
from gateway.config.schema import ANY, Config
from gateway.errors import Denied, EncError, Misconfigured, NotAllowedHere, Paused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rshell.context import Context
    from rshell.language.command import Command


class Allow(Record):
    """Go on."""


class Deny(Record):
    """`because` is what the caller is told; its slug is the reason in the audit. `setting` is the key of gateway.toml
    that decides it ("": none does).
    """

    because: EncError
    setting: str = ""


def decide(asked: Command, at_prompt: bool, config: Config) -> Allow | Deny:
    """Whether `asked` may be carried out where it was asked."""
    if asked.verb.transfers and at_prompt:
        return Deny(
            because=NotAllowedHere(f"{asked.verb.name} is not for the prompt", "run it on your own machine instead")
        )
    if asked.verb.name in ("run", "shell", "git-upload-archive"):
        setting, reason = _against_running(asked, config)
        if reason:
            return Deny(because=NotAllowedHere(reason, "the gateway's sysadmin decides that"), setting=setting)
    return Allow()


def _against_running(asked: Command, config: Config) -> tuple[str, str]:
    """By which setting the sysadmin does not want `asked` run, and why; "" for no reason.

    What a program does then, its sandbox confines.
    """
    commands = config.run_commands
    if asked.verb.name == "git-upload-archive":  # its formats and filters are what a repository's configuration says
        return ("", "") if ANY in commands else ("run.commands", "git archive is switched off here")
    if not commands:
        return "run.commands", f"{asked.verb.name} is switched off here"
    if asked.verb.name == "shell" and ANY not in commands:
        return "run.commands", "shell is not allowed here, only `run` with certain programs"
    if asked.arguments and not {ANY, asked.arguments[0]} & set(commands):
        return "run.commands", "that program is not among those that may be run here"
    if "--net" in asked.flags and config.run_network == "none":
        return "run.network", "programs have no network here"
    return "", ""


def may_begin(asked: Command, principal: str, config: Config, pause: Paused | None, has_room: bool) -> Allow | Deny:
    """Whether `principal` may carry out `asked` now, in a `pause` or where the audit `has_room` or not."""
    if asked.verb.begins and pause:
        return Deny(because=pause)
    if asked.verb.begins and not has_room:
        return Deny(because=Misconfigured("the gateway's audit log has no room left", "tell your sysadmin"))
    if asked.verb.name == "new" and not {ANY, principal} & set(config.projects_create):
        denied = Denied("you may not create projects here", "ask your sysadmin for one")
        return Deny(because=denied, setting="projects.create")
    return Allow()


def decisions(asked: Command, context: Context) -> tuple[Allow | Deny, ...]:
    """What there is to say on `asked`; it is carried out when nothing of that is a Deny."""
    principal, config = context.caller.principal, context.config
    return (
        decide(asked, context.at_prompt, config),
        may_begin(asked, principal, config, context.pause, context.has_room),
    )


def enforce(asked: Command, context: Context) -> None:
    """Raise what `decisions` say against it."""
    for decision in decisions(asked, context):
        if isinstance(decision, Deny):
            raise decision.because
