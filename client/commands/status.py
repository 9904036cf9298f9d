"""`enc status`."""

from __future__ import annotations

import click

from client import options, output
from client.connection import remote_command, request
from client.errors import Missing
from client.mount import entries
from client.state import store as stores
from client.state.config import Profile
from client.state.records import Mount
from client.system import processes


@click.command("status")
@options.gateway
def command(profile: Profile, as_json: bool) -> int:
    """Show what is mounted here, and your sessions on the gateway. This does not count as activity."""
    try:
        mounts = list(stores.of(profile).read().mounts.values())
    except Missing:
        mounts = []
    if not as_json:
        for mount in mounts:
            click.echo(f"{mount.project} is mounted at {mount.directory}: {_condition(mount)}")
        return remote_command.run(profile, ["status"])
    store = stores.connected(profile)
    answer = request.send(store, "status") if store else request.send_directly(profile, "status")
    about = [{"project": each.project, "directory": each.directory, "condition": _condition(each)} for each in mounts]
    output.result({"mounts": about, **answer}, "", as_json)
    return 0


def _condition(mount: Mount) -> str:
    if entries.find(mount) is None or not processes.is_alive(mount.sshfs):
        return "gone"
    return "watched" if processes.is_alive(mount.monitor) else "not watched"
