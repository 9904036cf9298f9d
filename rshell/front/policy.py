"""What is allowed. A decision is a value: the front enforces it, and a dry run explains it."""

from __future__ import annotations

from gateway.base.records import Record
from gateway.config.schema import ANY, Config
from gateway.errors import Denied, EncError, Misconfigured, NotAllowedHere
from gateway.identity.names import SharedName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rshell.context import Context
    from rshell.language.command import Command


class Allow(Record):
    """The command may be carried out."""


class Deny(Record):
    """The command is refused. The caller gets the error `because`, and the audit log its slug as the reason.

    `setting` is the key of gateway.toml that decides it ("": none).
    """

    because: EncError
    setting: str = ""


_FREE = ("shell", "workspace")
"""In which the user starts any program."""


def decide(asked: Command, at_prompt: bool, config: Config) -> Allow | Deny:
    """Whether `asked` is allowed by the configuration, and at the prompt if it was typed there."""
    is_stream = asked.verb.is_transfer or (asked.verb.name == "workspace" and asked.value)
    if is_stream and at_prompt:
        return Deny(
            because=NotAllowedHere(f"{asked.verb.name} does not work at the prompt", "run it on your own machine")
        )
    if asked.verb.name in ("run", *_FREE, "git-upload-archive"):
        setting, reason = _run_denial(asked, config)
        if reason:
            return Deny(because=NotAllowedHere(reason, "ask your sysadmin to allow it"), setting=setting)
    return Allow()


def _run_denial(asked: Command, config: Config) -> tuple[str, str]:
    """The setting that forbids to run `asked`, and the message for the caller. Both are "" when it is allowed.

    This limits which programs start. What a program can then do, its sandbox limits.
    """
    commands = config.run_commands
    if asked.verb.name == "git-upload-archive":  # a repository's configuration names programs for its formats
        return ("", "") if ANY in commands else ("run.commands", "git archive is switched off here")
    if not commands:
        return "run.commands", f"{asked.verb.name} is switched off here"
    if asked.verb.name in _FREE and ANY not in commands:
        return "run.commands", f"{asked.verb.name} is switched off here: `run` may start certain programs only"
    if asked.arguments and not {ANY, asked.arguments[0]} & set(commands):
        return "run.commands", "that program may not be run here"
    if "--net" in asked.flags and config.run_network == "none":
        return "run.network", "programs have no network here"
    return "", ""


def admit(asked: Command, principal: str, config: Config, halt: EncError | None, has_space: bool) -> Allow | Deny:
    """Whether `principal` may carry out `asked` now. `halt` is the error to give for all that begins, while there is
    one (the gateway is paused, the host drained), and `has_space` whether the audit log has space for the end of what
    starts.
    """
    if asked.verb.needs_admission and halt:
        return Deny(because=halt)
    if asked.verb.needs_admission and not has_space:
        return Deny(because=Misconfigured("the gateway's audit log is out of space", "tell your sysadmin"))
    if asked.verb.name == "new" and not {ANY, principal} & set(config.projects_create):
        denied = Denied("you may not create projects here", "ask your sysadmin for one")
        return Deny(because=denied, setting="projects.create")
    shares = asked.verb.name == "accept" or (asked.verb.name == "share" and asked.value)
    if shares and not {ANY, principal} & set(config.projects_share):
        denied = Denied("you may not share projects here", "ask your sysadmin")
        return Deny(because=denied, setting="projects.share")
    return Allow()


def standing(asked: Command, context: Context) -> Allow | Deny:
    """Whether the caller may do that to somebody else's project. To who is no member, there is none."""
    project = asked.project
    if not isinstance(project, SharedName) or asked.verb.for_members or asked.wants_help:
        return Allow()
    try:
        context.vault(project)
    except EncError as error:
        return Deny(because=error)
    return Deny(because=Denied(f"only {project.owner}, whose it is, can {asked.verb.name} {project}"))


def decisions(asked: Command, context: Context) -> tuple[Allow | Deny, ...]:
    """All decisions on `asked`. It may be carried out if none of them is a Deny. What ends something asks no disk that
    may not answer.
    """
    principal, config = context.caller.principal, context.config
    halt = context.halt(asked.project) if asked.verb.needs_admission else None
    admitted = admit(asked, principal, config, halt, context.audit_has_space)
    if halt:
        return (decide(asked, context.at_prompt, config), admitted)
    return (standing(asked, context), decide(asked, context.at_prompt, config), admitted)


def enforce(asked: Command, context: Context) -> None:
    """Raise the error of the first Deny."""
    for decision in decisions(asked, context):
        if isinstance(decision, Deny):
            raise decision.because
