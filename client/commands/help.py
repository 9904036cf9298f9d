"""`enc help`."""

from __future__ import annotations

import click

from client import options, output
from client.completion import COMMAND
from client.errors import NoSuchCommand
from client.errors import Usage as UsageError

_GATEWAYS = (
    "session",
    "challenge",
    "sftp",
    "scp",
    "rsync",
    "git-upload-pack",
    "git-receive-pack",
    "git-upload-archive",
)


@click.command("help")
@COMMAND
@options.JSON
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...], as_json: bool) -> None:
    """Explain COMMAND, or list all commands."""
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)  # noqa: S101
    if len(words) > 1:
        raise UsageError("help takes the name of one command", "`enc help` lists them")
    if not words:
        text, name = group.get_help(root), ""
    else:
        (name,) = words
        if name in _GATEWAYS:
            raise NoSuchCommand(f"{name} is a command of the gateway", f"`ssh HOST help {name}` explains it")
        if name not in group.list_commands(ctx):
            raise NoSuchCommand(f"there is no command {name[:40]}", _hint(name, group.list_commands(ctx)))
        explained = group.get_command(ctx, name)
        assert explained  # noqa: S101
        text = explained.get_help(click.Context(explained, info_name=name, parent=root))
    output.result({"command": name, "help": text}, text, as_json)


def _hint(word: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, known, 1, 0.75)
    return f"did you mean `enc help {near[0]}`?" if near else "`enc help` lists them"
