"""`enc-gateway setup`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gateway.base import json, text
from gateway.host import account
from gateway.install import plan
from gateway.install import setup as installing
from gateway.install.files import summary


@click.command()
@click.option("--dry-run", is_flag=True, help="List every change, and make none.")
@click.option("--verbose", "-v", is_flag=True, help="Show each change of a file as a diff.")
@click.option("--remove", "remove", is_flag=True, help="Undo setup. Vaults are kept.")
@click.option(
    "--sessions",
    default=installing.DEFAULT_SESSIONS,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many live sessions to set inotify's limits for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def setup(dry_run: bool, verbose: bool, remove: bool, sessions: int, as_json: bool) -> None:
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
    for change in changes:
        printed.append(change)
        if not as_json:
            click.echo(change if verbose else summary(change))
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "changes": printed}))
    elif not printed:
        click.echo("nothing to change")
    else:
        count = sum(not change.startswith("!") for change in printed)
        click.echo("\n" + "\n".join(_end(count, dry_run, verbose, remove)))


def _end(count: int, dry_run: bool, verbose: bool, remove: bool) -> list[str]:
    """What was done, and what to do next."""
    again = "enc-gateway setup" + " --remove" * remove
    if dry_run:
        diffs = "" if verbose else f"; `{again} --dry-run --verbose` shows them as diffs"
        return [f"{text.counted(count, 'change')}, none of them made{diffs}.", f"Next: {again}"]
    if remove:
        return [
            f"Removed: {text.counted(count, 'change')}. Nobody can log in as {account.NAME} any more.",
            f"Projects stay in {plan.VAULTS}; keys, audit log and changed configuration are in {plan.KEPT}.",
        ]
    return [
        f"This host is a gateway: {text.counted(count, 'change')}. People log in as {account.NAME}.",
        "Next: enc-gateway doctor             checks this host",
        "      enc-gateway key invite NAME    lets somebody in",
    ]
