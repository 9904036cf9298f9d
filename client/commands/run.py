"""`enc run`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("run", context_settings={"ignore_unknown_options": True})
@PROJECT
@click.option("--net", is_flag=True, help="Let CMD use the network, if the gateway allows it.")
@click.option("--time", "seconds", metavar="T", help="Stop it after this long: 300, 5m, 2h.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@options.gateway
def command(
    profile: Profile, project: str, net: bool, seconds: str | None, words: tuple[str, ...], as_json: bool
) -> int:
    """Run CMD on the gateway in PROJECT, which must be unlocked. Output and exit status are CMD's.

    With --json, only enc's own errors are JSON, because standard output is CMD's.
    """
    flags = [*(["--net"] if net else []), *(["--time", seconds] if seconds else [])]
    return remote_command.run(profile, ["run", project, *flags, "--", *words], tty=not as_json)
