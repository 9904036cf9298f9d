"""`enc-gateway setup`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

import click

from gateway.base import json, text
from gateway.errors import Misconfigured, Usage
from gateway.host import account
from gateway.install import plan
from gateway.install import setup as installing
from gateway.install.files import summary
from gateway.install.shared import Joining


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
@click.option(
    "--cluster",
    "directory",
    metavar="DIRECTORY",
    help="Make this host one of a cluster, whose hosts have DIRECTORY on a shared file system (docs/cluster.md).",
)
@click.option("--host", "name", metavar="NAME", help="The name of this host in the cluster.")
@click.option("--address", metavar="NAME:PORT", help="Where clients reach this very host of the cluster.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def setup(
    dry_run: bool,
    verbose: bool,
    remove: bool,
    sessions: int,
    directory: str | None,
    name: str | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Make this host a gateway, or with --remove undo that.

    It makes the account, directories, configuration, kernel limits, and last sshd's drop-in. It only overwrites files
    that setup made, and running it again changes nothing. Before sshd is reloaded, `sshd -t` checks the configuration,
    and `sshd -T` must show no change for other logins. --remove moves what people wrote (keys, configuration, audit)
    to /var/lib/enc/kept, beside the vaults; what a cluster shares stays.

    A host of a cluster stays one when setup runs again without --cluster.
    """
    joining = _joining(directory, name, address)
    if joining and remove:
        raise Usage("--remove takes no --cluster")
    changes: Iterable[str]
    if dry_run:
        changes = installing.preview(sessions, remove, joining)
    elif remove:
        changes = installing.remove()
    else:
        changes = installing.apply(sessions, joining)
    vaults = plan.current_or_default().paths_vaults if remove else ""  # removal takes the configuration away
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
        click.echo("\n" + "\n".join(_end(count, dry_run, verbose, vaults, _again(remove, sessions, joining))))


def _joining(directory: str | None, name: str | None, address: str | None) -> Joining | None:
    """The cluster that the options name. Raises Usage."""
    if directory is None and name is None and address is None:
        return None
    if directory is None or name is None or address is None:
        raise Usage("--cluster, --host and --address go together")
    if not os.path.isabs(directory):
        raise Usage("--cluster takes an absolute path")
    joining = Joining(directory=os.path.normpath(directory), host=name, address=address)
    try:
        joining.configure("", "")
    except Misconfigured as error:
        raise Usage(str(error).partition(": ")[2] or str(error)) from error
    return joining


def _again(remove: bool, sessions: int, joining: Joining | None) -> str:
    """The command that does what a dry run has shown."""
    words = ["enc-gateway", "setup", *(("--remove",) if remove else ())]
    if sessions != installing.DEFAULT_SESSIONS:
        words += ["--sessions", str(sessions)]
    if joining:
        words += ["--cluster", joining.directory, "--host", joining.host, "--address", joining.address]
    return shlex.join(words)


def _end(count: int, dry_run: bool, verbose: bool, vaults: str, again: str) -> list[str]:
    """What was done, and what to do next. `vaults`: where they stay after a removal, else "". `again`: the command."""
    if dry_run:
        diffs = "" if verbose else f"; `{again} --dry-run --verbose` shows them as diffs"
        return [f"{text.counted(count, 'change')}, none of them made{diffs}.", f"Next: {again}"]
    if vaults:
        return [
            f"Removed: {text.counted(count, 'change')}. Nobody can log in as {account.NAME} any more.",
            f"Projects stay in {vaults}; keys, audit log and changed configuration are in {plan.KEPT}.",
        ]
    return [
        f"This host is a gateway: {text.counted(count, 'change')}. People log in as {account.NAME}.",
        "Next: enc-gateway doctor             checks this host",
        "      enc-gateway key invite NAME    lets somebody in",
    ]
