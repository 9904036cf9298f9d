"""`enc unmount`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import MOUNTED
from client.connection import session_events
from client.errors import Usage
from client.mount import condition
from client.operations import projects, whereabouts
from client.state import config, hosts
from client.state import store as stores
from client.state.config import Profile
from client.state.store import Store


@click.command("unmount")
@MOUNTED
@click.option(
    "--all", "everything", is_flag=True, help="Unmount all projects; with PROJECT, lock it for everybody who has it."
)
@click.option("--force", is_flag=True, help="Unmount even if programs use it: they lose what they have not saved.")
@options.gateway
def command(profile: Profile, names: tuple[str, ...], everything: bool, force: bool, as_json: bool) -> None:
    """Write back, unmount, and lock on the gateway. While others have PROJECT too, it stays unlocked for them.

    With --all, the owner of PROJECT locks it for all of them, mounted here or not.
    """
    if not (names or everything):
        given = config.GatewayOptions(profile.name, profile.ssh_config, profile.identity)
        here = None if names else whereabouts.find(given)
        this = f"`cd; enc unmount {here.project}` for this one, or" if here else "or"
        raise Usage("name the projects to unmount", f"{this} use --all")
    known = [
        (mount, stores.of(each)) for each in hosts.all_of(profile) for mount in stores.of(each).read().mounts.values()
    ]
    made = [mount.project for mount, _ in known if not condition.is_being_made(mount)]
    chosen = list(dict.fromkeys(names or made))
    if names and everything:
        for project in chosen:
            _lock_for_all(profile, project, force)
        text = "\n".join(f"locked {project} for all who had it" for project in chosen)
        output.result({"unmounted": [one for one in chosen if one in made], "locked": True}, text, as_json)
        return
    at = {project: stores.of(hosts.having(profile, project)) for project in chosen}
    locked = {project: projects.unmount_project(store, project, force) for project, store in at.items()}
    lines = [_line(at[project], project, confirmed) for project, confirmed in locked.items()]
    fields = {"unmounted": chosen, "locked": all(locked.values())}
    output.result(fields, "\n".join(lines) or "nothing is mounted", as_json)


def _lock_for_all(profile: Profile, project: str, force: bool) -> None:
    def lock(where: Profile) -> None:
        projects.lock_for_all(where, stores.of(where), project, force)

    options.reach(whereabouts.of_project(profile, project), lock)


def _line(store: Store, project: str, confirmed: bool) -> str:
    if not confirmed:
        return f"unmounted {project}; the gateway did not confirm that it is locked"
    session_events.wait_for_end(store, project)
    if session_events.is_left(store, project):
        return f"unmounted {project}; it stays unlocked for others who have it"
    return f"unmounted and locked {project}"
