"""Commands that only the gateway has."""

from __future__ import annotations

import click

from client import options
from client.connection import remote_command
from client.state import config


@click.command("other", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> int:
    """Send WORDS to the gateway as they are."""
    return remote_command.run(config.choose(options.given(None, None, None)), list(words), tty=True)
