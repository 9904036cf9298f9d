"""`enc-gateway embedded`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.base import json
from gateway.embedded.layout import Layout
from gateway.errors import Usage
from gateway.identity import authorized_keys, from_patterns


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", type=click.IntRange(1, 65535), show_default="a free one", help="Port to listen on.")
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="IP address to listen on.")
@click.option(
    "--host-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    show_default="one that is made",
    help="Private host key of sshd: all hosts of a cluster have the same.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Public key file to authorize; may be repeated.",
)
@click.option("--idle", type=click.IntRange(1), help="Both idle limits, in seconds.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a key of gateway.toml; may be repeated."
)
@options.as_json
def embedded(
    directory: Path,
    port: int | None,
    listen: str,
    host_key: Path | None,
    keys: tuple[Path, ...],
    idle: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a gateway from one directory, in the foreground.

    When it is ready it prints what to type next; with --json, or when standard output is no terminal, one line of JSON.
    Ctrl-C or SIGTERM ends it and everything it started. With --set cluster.directory=..., cluster.host and
    cluster.address, it is a host of a cluster: keys, vaults and invitations are in that directory then.
    """
    from gateway.embedded import host, supervisor

    def announce(paths: Layout, at: supervisor.Listening) -> None:
        ready = supervisor.ready(paths, at.port)
        for_people = output.at_terminal() and not as_json
        click.echo(_next_commands(paths, f"{at.address}, port {at.port}") if for_people else json.dumps(ready))
        sys.stdout.flush()

    if from_patterns.parse_address(listen) is None:
        raise Usage("--listen takes an IP address", "for example --listen 127.0.0.1")
    if problem := host.terminal_problem():
        output.note(f"enc-gateway: {problem}")
    if output.at_terminal() and not as_json:  # Ctrl-C needs no log of each session that it locks
        supervisor.log_only_warnings()
    limits = {"idle.session": str(idle), "idle.view": str(idle)} if idle else {}
    given = limits | dict(_pair(setting) for setting in settings)
    at = supervisor.Listening(address=listen, port=port or 0, host_key=host_key)
    supervisor.run(directory, at, keys, given, announce)


def _next_commands(paths: Layout, where: str) -> str:
    """For somebody who tries a gateway: everything to type in another terminal."""
    enc = Path(sys.argv[0]).resolve().with_name("enc")
    program = shlex.quote(str(enc)) if enc.exists() else "enc"
    ours = shlex.quote(str(enc.with_name("enc-gateway"))) if enc.exists() else "enc-gateway"
    config, settings = shlex.quote(str(paths.ssh_config)), shlex.quote(str(paths.config))
    lines = [f"The gateway is ready, on {where}. Ctrl-C ends it. In another terminal:", ""]
    if not _has_key(paths):
        command = f"{ours} key add ~/.ssh/id_ed25519.pub --config {settings}"
        lines += ["    # nobody may log in yet: this lets your key in", f"    {command}"]
    lines += [
        f"    {program} init --host gateway -F {config}",
        f"    {program} new parser",
        f"    {program} mount parser         # unlocks it, and mounts it at ~/enc/parser",
        f"    {program} unmount parser       # locks it again",
        "",
        "With ssh alone, and for a sysadmin:",
        "",
        f"    ssh -F {config} -i ~/.ssh/id_ed25519 gateway help",
        f"    {ours} sessions --config {settings}",
    ]
    return "\n".join(lines)


def _has_key(paths: Layout) -> bool:
    return bool(authorized_keys.load(str(paths.master)))


def _pair(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals:
        raise Usage("--set takes KEY=VALUE")
    return key, value
