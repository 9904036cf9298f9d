"""What the commands share: the options, and how a command begins."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.base import privileges
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Misconfigured

CONFIG = Path("/etc/enc/gateway.toml")

settings = click.option(
    "--config",
    "settings",
    default=CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The gateway's configuration.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--config`, for a command that takes what is in it, and works as the gateway's account (`enter`)."""

    @functools.wraps(command)
    def run(*args: Any, settings: Path, **options: Any) -> Any:
        return command(*args, settings=enter(settings), **options)

    return settings(run)


def enter(path: Path) -> Config:
    """The configuration in the file `path`. From here on root works as the account that has the vaults: what needs root
    says so (gateway.base.privileges). Raises Misconfigured.
    """
    config = loader.load(str(path))
    try:
        uid, gid = privileges.owner(config.paths_vaults)
    except OSError as error:
        raise Misconfigured(f"{config.paths_vaults} cannot be read", error.strerror) from error
    privileges.drop(uid, gid)
    return config
