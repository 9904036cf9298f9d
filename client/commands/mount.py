"""`enc mount`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import PROJECT
from client.operations import projects
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile


@click.command("mount")
@PROJECT
@click.argument("directory", required=False, type=click.Path())
@click.option(
    "--detach",
    is_flag=True,
    help="Keep it mounted after this terminal closes, until `enc unmount` or `enc logout --all`.",
)
@click.option(
    "--sync", is_flag=True, help="Each write waits for the gateway, so that its error is reported by that write."
)
@click.option("--passphrase", is_flag=True, help="Ask for the passphrase, whatever keys there are.")
@options.patient_gateway
def command(
    profile: Profile,
    project: str,
    directory: str | None,
    detach: bool,
    sync: bool,
    passphrase: bool,
    as_json: bool,
) -> None:
    """Unlock PROJECT and mount it at DIRECTORY (default: ~/enc/PROJECT). Logs in first if needed.

    A project that somebody shares with you is OWNER/PROJECT. Who may only read it gets a mount that is read-only.

    It is unlocked by an SSH key of yours if it has a slot for it (`enc slot add PROJECT key`), else by the passphrase.

    The mount belongs to this terminal: when its shell, or the script that called enc, ends, enc unmounts and locks the
    project. enc checks the mount every 3 s, and unmounts it when it does not answer or was tampered with.

    If the gateway is several hosts and another one has PROJECT unlocked, enc goes there by itself. If that host has
    died, enc waits for at most 60 s until another may unlock it; Ctrl-C ends the wait.
    """
    terminal = terminals.detached() if detach else terminals.calling()
    made = projects.mount_project(profile, stores.of(profile), terminal, project, directory or "", sync, not passphrase)
    if made.note:
        output.note(made.note)
    where = output.short(made.mount.directory)
    fields: dict[str, object] = {"project": project, "directory": made.mount.directory, "detached": detach}
    until = terminals.lifetime(terminal)
    fields |= {"unlocked_by": made.by, "read_only": made.read_only}
    fields |= {"host": profile.other} if profile.other else {}
    read_only = " read-only" if made.read_only else ""
    on = f" on {profile.other}" if profile.other else ""
    by = f", unlocked by {made.by}," if made.by else ""
    output.result(fields, f"{project} is mounted{read_only} at {where}{on}{by} {until}", as_json, strong=where)
