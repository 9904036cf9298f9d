"""`enc unmount`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import MOUNTED
from client.errors import Usage
from client.mount import condition
from client.operations import projects, whereabouts
from client.state import config
from client.state import store as stores
from client.state.config import Profile


@click.command("unmount")
@MOUNTED
@click.option("--all", "everything", is_flag=True, help="Unmount all projects of the gateway.")
@click.option("--force", is_flag=True, help="Unmount even if programs use it: they lose what they have not saved.")
@options.gateway
def command(profile: Profile, names: tuple[str, ...], everything: bool, force: bool, as_json: bool) -> None:
    """Write back, unmount, and lock on the gateway."""
    store = stores.of(profile)
    if bool(names) == everything:
        given = config.GatewayOptions(profile.name, profile.ssh_config, profile.identity)
        here = None if names else whereabouts.find(given)
        this = f"`cd; enc unmount {here.project}` for this one, or" if here else "or"
        raise Usage("name the projects to unmount", f"{this} use --all")
    made = [mount.project for mount in store.read().mounts.values() if not condition.is_being_made(mount)]
    chosen = made if everything else list(dict.fromkeys(names))
    locked = {project: projects.unmount_project(store, project, force) for project in chosen}
    lines = [
        f"unmounted and locked {project}"
        if confirmed
        else f"unmounted {project}; the gateway did not confirm that it is locked"
        for project, confirmed in locked.items()
    ]
    fields = {"unmounted": chosen, "locked": all(locked.values())}
    output.result(fields, "\n".join(lines) or "nothing is mounted", as_json)
