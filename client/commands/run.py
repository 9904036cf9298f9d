"""`enc run`."""

from __future__ import annotations

import click

from client import options
from client.commands import program
from client.completion import PROJECT_OR_HERE
from client.errors import Usage


class _Run(click.Command):
    """`--` divides our words from the program's, also when no project is named before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_PROGRAM] = tuple(args[args.index("--") + 1 :]) if "--" in args else None
        return super().parse_args(ctx, args[: args.index("--")] if "--" in args else args)


_PROGRAM = "client.commands.run.program"


@click.command("run", cls=_Run)
@PROJECT_OR_HERE
@program.PROJECT_OPTION
@program.DIRECTORY
@program.NET
@program.TIME
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD...")
@options.HOST
@options.SSH_CONFIG
@options.IDENTITY
@options.JSON
@click.pass_context
def command(
    ctx: click.Context,
    project: str | None,
    named: str | None,
    directory: str | None,
    net: bool,
    seconds: str | None,
    words: tuple[str, ...],
    host: str | None,
    ssh_config: str | None,
    identity: str | None,
    as_json: bool,
) -> int:
    """Run CMD on the gateway in PROJECT, which must be unlocked. Output and exit status are CMD's.

    In a mount, PROJECT is the one that you are in, and CMD starts in the same directory. With --json, only enc's own
    errors are JSON, because standard output is CMD's.
    """
    after = ctx.meta[_PROGRAM]
    if after is not None and words:
        raise Usage(f"{words[0][:40]} is one word too many before --", "write enc run [PROJECT] -- CMD")
    run = words if after is None else after
    if not run:
        raise Usage("no program was given", "write it after --: enc run PROJECT -- make")
    chosen = program.Chosen(named or project or "", directory, net, seconds)
    return program.start("run", options.given(host, ssh_config, identity), chosen, list(run), not as_json)
