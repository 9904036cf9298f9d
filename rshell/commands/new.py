"""Creating a project."""

from __future__ import annotations

import os

from gateway.base.signals import SignalsBlocked
from gateway.errors import CannotCreate, Usage
from gateway.vault import store
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.terminal import output, questions


def run(context: Context, command: Command) -> int:
    """Ask for a passphrase (twice at a terminal) and create the vault."""
    from gateway.session import maintenance
    from gateway.vault import garbage, lifecycle

    foresee(context, command)
    project = required(command.project)
    home = context.vaults_home
    garbage.sweep_home(home, context.config.trash_days)
    minimum = 1 if "--allow-weak" in command.flags else context.config.passphrase_minimum
    output.note(f"The passphrase needs at least {minimum} characters. Nobody can recover it for you.")
    passphrase = _ask(minimum)
    maintenance.require_running(context.config.paths_pause)  # typing took its time
    with lifecycle.creation_lock(home):
        _require_room(context)
        with SignalsBlocked():  # what is there is recorded and said
            lifecycle.create(home, project, context.caller.fingerprint, questions.pipe(passphrase))
            context.audit.write("created", project=project)
            output.result({"project": project, "created": True}, f"created {project}", command.wants_json)
    return 0


def foresee(context: Context, command: Command) -> None:
    """Raise CannotCreate when the name is taken, or the caller has as much as is allowed."""
    if os.path.lexists(os.path.join(context.vaults_home, required(command.project))):
        raise CannotCreate(f"you already have a project {command.project}")
    _require_room(context)


def _require_room(context: Context) -> None:
    """Raise CannotCreate when the caller has as many projects as is allowed."""
    most = context.config.limits_projects
    if most and len(store.names(context.vaults_home)) >= most:
        raise CannotCreate(f"you have {most} projects, as many as you may", "`rm` removes one")
    if context.config.limits_disk:
        from gateway.limits.disk import usage

        usage.require_quota_left(context.vaults_home, context.config.limits_disk)


def _ask(minimum: int) -> bytes:
    passphrase = questions.secret("New passphrase: ")
    if len(passphrase.decode(errors="replace")) < minimum:
        hint = "--allow-weak takes a shorter one" if minimum > 1 else ""
        raise Usage(f"the passphrase has fewer than {minimum} characters", hint)
    if os.isatty(0) and questions.secret("The same again: ") != passphrase:
        raise Usage("the two passphrases differ", "nothing was created")
    return passphrase
