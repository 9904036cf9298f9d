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
from gateway.identity import authorized_keys


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", type=click.IntRange(1, 65535), show_default="a free one", help="Port on 127.0.0.1.")
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
    keys: tuple[Path, ...],
    idle: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a gateway from one directory, in the foreground.

    When it is ready it prints what to type next; with --json, or when standard output is no terminal, one line of JSON.
    Ctrl-C or SIGTERM ends it and everything it started.
    """
    from gateway.embedded import host, supervisor

    def announce(paths: Layout, port: int) -> None:
        ready = supervisor.ready(paths, port)
        for_people = output.at_terminal() and not as_json
        click.echo(_next_commands(paths, port) if for_people else json.dumps(ready))
        sys.stdout.flush()

    if problem := host.terminal_problem():
        output.note(f"enc-gateway: {problem}")
    if output.at_terminal() and not as_json:  # Ctrl-C needs no log of each session that it locks
        supervisor.log_only_warnings()
    limits = {"idle.session": str(idle), "idle.view": str(idle)} if idle else {}
    given = limits | dict(_pair(setting) for setting in settings)
    supervisor.run(directory, port or 0, keys, given, announce)


def _next_commands(paths: Layout, port: int) -> str:
    """For somebody who tries a gateway: everything to type in another terminal."""
    enc = Path(sys.argv[0]).resolve().with_name("enc")
    program = shlex.quote(str(enc)) if enc.exists() else "enc"
    ours = shlex.quote(str(enc.with_name("enc-gateway"))) if enc.exists() else "enc-gateway"
    config, settings = shlex.quote(str(paths.ssh_config)), shlex.quote(str(paths.config))
    lines = [f"The gateway is ready, on 127.0.0.1, port {port}. Ctrl-C ends it. In another terminal:", ""]
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
    return bool(authorized_keys.load(str(paths.authorized_keys)))


def _pair(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals:
        raise Usage("--set takes KEY=VALUE")
    return key, value
