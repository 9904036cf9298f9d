"""`enc-gateway setup`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gateway.base import json
from gateway.install import setup as installing


@click.command()
@click.option("--dry-run", is_flag=True, help="Show every change as a diff, and make none.")
@click.option("--remove", "away", is_flag=True, help="Take back all of it but the vaults.")
@click.option(
    "--sessions",
    default=installing.SESSIONS,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many are to be live at once, for inotify's limits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def setup(dry_run: bool, away: bool, sessions: int, as_json: bool) -> None:
    """Make this host a gateway: account, directories, configuration, sshd's drop-in, kernel limits.

    Nothing that is there is overwritten but what setup made itself; running it again changes nothing. sshd is asked
    with `sshd -t` before it reads anything again, and logins of others are compared before and after. With --remove,
    what people wrote (keys, configuration, audit) is moved to /var/lib/enc/kept, beside the vaults.
    """
    changes: Iterable[str]
    if dry_run:
        changes = installing.preview(sessions, away)
    elif away:
        changes = installing.remove()
    else:
        changes = installing.apply(sessions)
    said = []
    for text in changes:
        said.append(text)
        if not as_json:
            click.echo(text)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "changes": said}))
    elif not said:
        click.echo("nothing to change")
