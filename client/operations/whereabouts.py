"""Which project the user means who names none: the one in whose mount the current directory is."""

from __future__ import annotations

import os
from typing import NamedTuple

from client.errors import EncError, Usage
from client.state import config, hosts
from client.state import store as stores
from client.state.config import GatewayOptions, Profile


class Place(NamedTuple):
    """`below` is the current directory as a path in the project; "" for its top."""

    profile: Profile
    project: str
    below: str


def find(given: GatewayOptions) -> Place | None:
    """Where the current directory is, in a mount of the given gateway, or of any of the config when none is given."""
    try:
        current = os.getcwd()
    except OSError:
        return None
    chosen = config.choose(given) if given.host or config.load().default else None
    others = [] if given.host else [one for one in config.load().gateways.values() if one != chosen]
    for profile in [each for one in (*([chosen] if chosen else []), *others) for each in hosts.all_of(one)]:
        try:
            mounts = stores.of(profile).read().mounts.values()
        except EncError:
            continue
        for mount in mounts:
            if mount.directory and (current == mount.directory or current.startswith(f"{mount.directory}/")):
                return Place(profile, mount.project, current[len(mount.directory) + 1 :])
    return None


def of_project(profile: Profile, project: str) -> Profile:
    """The profile of the host on which the project is mounted; that of the gateway if it is not. What a lost host or a
    crash left of a mount is cleaned up.
    """
    there = hosts.having(profile, project)
    if there is not profile:
        from client.connection import session  # what follows is not needed where a gateway is one host
        from client.operations import projects

        store = stores.of(there)
        if not session.is_open(store, store.read()):
            projects.finish_earlier(store, project)
            return hosts.having(profile, project)
    return there


def _is_gone() -> bool:
    """Whether the current directory cannot be reached any more, as one in a mount that has ended."""
    try:
        os.stat(".")
        os.getcwd()
    except OSError:
        return True
    return False


def resolve(given: GatewayOptions, project: str, directory: str | None, verb: str = "run") -> Place:
    """The project of that name ("": the one in which we are), and a directory in it, for `enc VERB`.

    `directory` is relative to where we are in the project, else to its top; an absolute one is a path in the mount.
    Without one it is where we are. Raises Usage.
    """
    here = find(given)
    if not project and here is None and _is_gone():
        raise Usage("the current directory is gone: its mount has ended", "`enc mount` it again, then `cd` into it")
    if not project and here is None:
        words = f"enc {verb} PROJECT{' -- CMD' if verb == 'run' else ''}"
        hint = f"name it: `{words}`, or `cd` into a mount first"
        raise Usage("the current directory is in no project that is mounted", hint)
    if here and project in ("", here.project):
        place = here
    else:
        place = Place(of_project(config.choose(given), project), project, "")
    if directory is None:
        return place
    path = os.path.normpath(os.path.join(place.below, directory))
    if os.path.isabs(directory) or path.split("/")[0] == "..":
        raise Usage(f"{directory} is not in {place.project}", "write -C with a path in the project")
    return place._replace(below="" if path == "." else path)
