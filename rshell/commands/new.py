"""Create a project."""

from __future__ import annotations

import os

from gateway.base.signals import SignalsBlocked
from gateway.errors import CannotCreate, Usage
from gateway.vault import store
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.terminal import output, passphrases, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def run(context: Context, command: Command) -> int:
    """Ask for a passphrase (twice at a terminal) and create the vault."""
    from gateway.session import maintenance
    from gateway.vault import garbage, lifecycle

    check(context, command)
    project = required(command.project)
    home = context.vaults_home
    garbage.sweep_home(home, context.config.trash_days)
    minimum = 1 if "--allow-weak" in command.flags else context.config.passphrase_minimum
    output.note(f"The passphrase needs at least {minimum} characters. Nobody can recover it for you.")
    passphrase = _ask(minimum, context.key_checker())
    context.require_key()  # it may have been revoked during the questions
    maintenance.require_running(context.config.paths_pause)  # and the gateway paused
    with lifecycle.creation_lock(home):
        _require_quota(context)
        with SignalsBlocked():  # a project that exists is also recorded and reported
            lifecycle.create(home, project, context.caller.fingerprint, questions.pipe(passphrase))
            context.audit.write("created", project=project)
            output.result({"project": project, "created": True}, f"created {project}", command.wants_json)
    return 0


def check(context: Context, command: Command) -> None:
    """Raise CannotCreate if the name is taken, or the caller is at a limit (projects, disk)."""
    if os.path.lexists(os.path.join(context.vaults_home, required(command.project))):
        raise CannotCreate(f"you already have a project {command.project}")
    _require_quota(context)


def _require_quota(context: Context) -> None:
    """Raise CannotCreate if the caller is at `limits.projects` or `limits.disk`."""
    most = context.config.limits_projects
    if most and len(store.names(context.vaults_home)) >= most:
        raise CannotCreate(f"you already have {most} projects, which is your limit", "remove one with `rm`")
    if context.config.limits_disk:
        from gateway.limits.disk import usage

        usage.require_quota_left(context.vaults_home, context.config.limits_disk)


def _ask(minimum: int, check: Callable[[], None]) -> bytes:
    passphrase = passphrases.canonical(questions.secret("New passphrase: ", check))
    if len(passphrase.decode()) < minimum:
        hint = "use a longer one, or --allow-weak" if minimum > 1 else ""
        raise Usage(f"the passphrase has fewer than {minimum} characters", hint)
    if os.isatty(0) and passphrases.canonical(questions.secret("New passphrase again: ", check)) != passphrase:
        raise Usage("the two passphrases differ", "nothing was created")
    return passphrase
