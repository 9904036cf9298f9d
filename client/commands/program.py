"""What `enc run` and `enc shell` share: the options, and starting a program on the gateway."""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from client import options
from client.connection import remote_command
from client.errors import Usage
from client.operations import whereabouts
from client.state.config import GatewayOptions

PROJECT_OPTION = click.option("-P", "named", metavar="PROJECT", help="The project, instead of the one you are in.")
DIRECTORY = click.option("-C", "directory", metavar="DIR", help="Start in this directory of the project.")
NET = click.option("--net", is_flag=True, help="Let it use the network, if the gateway allows that.")
TIME = click.option("--time", "seconds", metavar="T", help="Stop it after this long: 300, 5m, 2h.")


_DURATION = re.compile(r"[0-9]+[smh]?")


class Chosen(NamedTuple):
    """The project ("": where we are), and the values of the options."""

    project: str
    directory: str | None
    net: bool
    seconds: str | None


def start(verb: str, given: GatewayOptions, chosen: Chosen, words: list[str], tty: bool) -> int:
    """Run the gateway's command `verb` there; its exit status. Raises Usage for no project."""
    if chosen.seconds and not _DURATION.fullmatch(chosen.seconds):
        raise Usage(f"{chosen.seconds[:40]!r} is no time", "write --time 300, 5m or 2h")
    place = whereabouts.resolve(given, chosen.project, chosen.directory, verb)
    flags = ["--net"] if chosen.net else []
    flags += ["--time", chosen.seconds] if chosen.seconds else []
    flags += ["--directory", place.below] if place.below else []
    rest = ["--", *words] if words else []
    line = [verb, place.project, *flags, *rest]
    return options.reach(place.profile, lambda where: remote_command.run(where, line, tty, place.project))
