"""`enc-gateway embedded`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.errors import Usage


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1; a free one by default.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Public key file to authorize.",
)
@click.option("--idle", type=click.IntRange(1), help="Seconds; both idle limits.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A key of gateway.toml.")
def embedded(
    directory: Path, port: int | None, keys: tuple[Path, ...], idle: int | None, settings: tuple[str, ...]
) -> None:
    """Run a whole gateway from DIRECTORY in the foreground.

    Prints one JSON line when it is ready; then `ssh -F DIRECTORY/ssh_config -i KEY gateway help` works. Ctrl-C or
    SIGTERM ends it and everything it started.
    """
    from gateway.embedded import supervisor

    limits = {"idle.session": str(idle), "idle.view": str(idle)} if idle else {}
    supervisor.run(directory, port or 0, keys, limits | dict(_pair(setting) for setting in settings))


def _pair(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals:
        raise Usage("--set takes KEY=VALUE")
    return key, value
