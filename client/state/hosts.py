"""A gateway that is several hosts, of which each has its own connection, session and mounts on this machine.

The gateway is what the user has configured. It says which other host has a project unlocked, and where that is. The
profile that leads there is the gateway's with another HostName and Port; its host key has to be the gateway's own
(client.connection.ssh). What is remembered of a host is its store, and a project is remembered there for as long as it
is mounted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re

from client.errors import EncError
from client.state import runtime_dir
from client.state import store as stores
from client.state.config import Profile

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
"""NAME:PORT, or [IPv6]:PORT. Nothing that ssh takes for an option, a token or two words."""
_MAX_BYTES = 1024


def is_one(host: object, address: object) -> bool:
    """Whether they can be a host's name and address."""
    if not (isinstance(host, str) and isinstance(address, str) and _NAME.fullmatch(host)):
        return False
    found = _ADDRESS.fullmatch(address)
    return found is not None and 0 < int(found[1]) < 65536


def leading_to(profile: Profile, host: str, address: str) -> Profile:
    """The profile for another host of the gateway's cluster."""
    return profile._replace(other=host, address=address)


def gateway(profile: Profile) -> Profile:
    """The profile of the gateway itself."""
    return profile._replace(other="", address="")


def others(profile: Profile) -> list[Profile]:
    """The other hosts to which enc has gone since the user logged in on this machine."""
    begin = f"{stores.name(gateway(profile))}-"
    found = []
    with contextlib.suppress(OSError, EncError):
        base = runtime_dir.path()
        for name in sorted(each for each in os.listdir(base) if each.startswith(begin)):
            with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
                with open(os.path.join(base, name, stores.HOST), encoding="utf-8") as file:
                    host, address = json.loads(file.read(_MAX_BYTES))
                if is_one(host, address):
                    found.append(leading_to(profile, host, address))
    return found


def all_of(profile: Profile) -> list[Profile]:
    """The gateway, and those."""
    return [gateway(profile), *others(profile)]


def having(profile: Profile, project: str) -> Profile:
    """Where the project is mounted, or being mounted; `profile` if it is not."""
    for each in others(profile):
        with contextlib.suppress(EncError):
            if project in stores.of(each).read().mounts:
                return each
    return profile


def connected(profile: Profile) -> Profile:
    """A host with which we are connected, for what all of them can answer: the gateway first, and if there is no
    connection.
    """
    for each in all_of(profile):
        if stores.connected(each):
            return each
    return profile
