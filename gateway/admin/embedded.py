"""`enc-gateway embedded`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.errors import Usage


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
def embedded(
    directory: Path, port: int | None, keys: tuple[Path, ...], idle: int | None, settings: tuple[str, ...]
) -> None:
    """Run a gateway from one directory, in the foreground.

    It prints one JSON line when it is ready. `ssh -F DIRECTORY/ssh_config -i KEY gateway help` works from then on.
    Ctrl-C or SIGTERM ends it and everything it started.
    """
    from gateway.embedded import supervisor

    limits = {"idle.session": str(idle), "idle.view": str(idle)} if idle else {}
    supervisor.run(directory, port or 0, keys, limits | dict(_pair(setting) for setting in settings))


def _pair(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals:
        raise Usage("--set takes KEY=VALUE")
    return key, value
