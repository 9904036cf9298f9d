"""`enc status`."""

from __future__ import annotations

import click

from client import options
from client.connection import remote_command, ssh
from client.errors import Missing
from client.mount import sshfs
from client.state.config import Profile
from client.state.store import Mount
from client.system import processes


@click.command("status")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show what is mounted here, and your sessions on the gateway. Asking keeps nothing unlocked."""
    try:
        mounts = list(profile.store().read().mounts.values())
    except Missing:
        mounts = []
    if not as_json:
        for mount in mounts:
            click.echo(f"{mount.project} is at {mount.directory}: {_condition(mount)}")
        return remote_command.pass_on(profile, ["status"])
    store = remote_command.connected(profile)
    answer = ssh.ask(store, "status") if store else ssh.ask_directly(profile, "status")
    about = [{"project": each.project, "directory": each.directory, "condition": _condition(each)} for each in mounts]
    options.say({"mounts": about, **answer}, "", as_json)
    return 0


def _condition(mount: Mount) -> str:
    if sshfs.entry_of(mount) is None or not processes.alive(mount.sshfs):
        return "gone"
    return "watched" if processes.alive(mount.monitor) else "not watched"
