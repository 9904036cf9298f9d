"""`enc-gateway setup`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gateway.base import json
from gateway.install import setup as installing


@click.command()
@click.option("--dry-run", is_flag=True, help="Print every change as a diff, and change nothing.")
@click.option("--remove", "remove", is_flag=True, help="Undo setup. Vaults are kept.")
@click.option(
    "--sessions",
    default=installing.DEFAULT_SESSIONS,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many live sessions to set inotify's limits for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def setup(dry_run: bool, remove: bool, sessions: int, as_json: bool) -> None:
    """Make this host a gateway, or with --remove undo that.

    It makes the account, directories, configuration, kernel limits, and last sshd's drop-in. It only overwrites files
    that setup made, and running it again changes nothing. Before sshd is reloaded, `sshd -t` checks the configuration,
    and `sshd -T` must show no change for other logins. --remove moves what people wrote (keys, configuration, audit)
    to /var/lib/enc/kept, beside the vaults.
    """
    changes: Iterable[str]
    if dry_run:
        changes = installing.preview(sessions, remove)
    elif remove:
        changes = installing.remove()
    else:
        changes = installing.apply(sessions)
    printed = []
    for text in changes:
        printed.append(text)
        if not as_json:
            click.echo(text)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "changes": printed}))
    elif not printed:
        click.echo("nothing to change")
