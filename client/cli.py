"""`enc`: a gateway's commands through the stock ssh client."""

from __future__ import annotations

import os
import shlex
import sys

import click

_SSH = "ssh"
_ASKS = frozenset(("new", "mount", "rm"))
"""Commands that ask something, and so want a terminal when there is one."""


@click.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    }
)
@click.version_option(package_name="enc-gateway", message="enc %(version)s")
@click.option("--host", default="gateway", show_default=True, help="The gateway: a host or an alias of ssh_config(5).")
@click.option("-F", "ssh_config", type=click.Path(exists=True, dir_okay=False), help="As of ssh(1).")
@click.option("-i", "identity", type=click.Path(exists=True, dir_okay=False), help="As of ssh(1).")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND [ARGS]...")
def main(host: str, ssh_config: str | None, identity: str | None, words: tuple[str, ...]) -> None:
    """Run a COMMAND of the gateway (`enc help` lists them) through ssh. Without one: the gateway's prompt."""
    if host.startswith("-"):
        raise click.UsageError("a host does not start with '-'")
    options = [*(("-F", ssh_config) if ssh_config else ()), *(("-i", identity) if identity else ())]
    if sys.stdin.isatty() and (not words or words[0] in _ASKS):
        options.append("-t")
    argv = [_SSH, "-a", "-x", *options, "--", host, *([shlex.join(words)] if words else [])]
    try:
        os.execvp(_SSH, argv)  # noqa: S606 - the user's ssh, as the user's PATH says; no shell
    except FileNotFoundError:
        click.echo("enc: ssh is not installed; apt install openssh-client", err=True)
        sys.exit(69)
