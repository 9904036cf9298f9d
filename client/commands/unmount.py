"""`enc unmount`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECTS
from client.errors import Usage
from client.operations import projects
from client.state.config import Profile


@click.command("unmount")
@PROJECTS
@click.option("--all", "everything", is_flag=True, help="Every project that is mounted from the gateway.")
@click.option("--force", is_flag=True, help="Also when programs use it: they lose it, and what they have not saved.")
@options.gateway
def command(profile: Profile, names: tuple[str, ...], everything: bool, force: bool, as_json: bool) -> None:
    """Write back what is not written yet, unmount, and lock on the gateway."""
    store = profile.store()
    if bool(names) == everything:
        raise Usage("name what to unmount", "or --all")
    chosen = list(store.read().mounts) if everything else list(dict.fromkeys(names))
    locked = {project: projects.unmount(store, project, force) for project in chosen}
    words = [
        f"unmounted {project}, and locked it"
        if said
        else f"unmounted {project}; the gateway did not say that it is locked"
        for project, said in locked.items()
    ]
    options.say(
        {"unmounted": chosen, "locked": all(locked.values())}, "\n".join(words) or "nothing is mounted", as_json
    )
