"""`enc run`."""

from __future__ import annotations

import click

from client import options
from client.completion import PROJECT
from client.connection import remote_command
from client.state.config import Profile


@click.command("run", context_settings={"ignore_unknown_options": True})
@PROJECT
@click.option("--net", is_flag=True, help="With network, where the gateway allows it.")
@click.option("--time", "seconds", metavar="T", help="End it after so long, as the gateway's `run` takes it.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@options.gateway
def command(
    profile: Profile, project: str, net: bool, seconds: str | None, words: tuple[str, ...], as_json: bool
) -> int:
    """Run CMD on the gateway within PROJECT, which is unlocked; its output as it comes, its exit status as ours.

    Standard output is CMD's, so --json is for our own errors alone.
    """
    flags = [*(["--net"] if net else []), *(["--time", seconds] if seconds else [])]
    return remote_command.pass_on(profile, ["run", project, *flags, "--", *words], tty=not as_json)
