"""Options that the commands share. `configured` loads the configuration and drops root's privileges."""

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

config_path = click.option(
    "--config",
    "settings",
    default=CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The gateway's configuration file.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` to a command, which gets the Config as `settings` and runs as the gateway's account."""

    @functools.wraps(command)
    def run(*args: Any, settings: Path, **options: Any) -> Any:
        return command(*args, settings=load_as_account(settings), **options)

    return config_path(run)


def load_as_account(path: Path) -> Config:
    """Load the configuration file at `path`. If we are root, also change to the account that owns the vaults; a step
    that needs root then uses `privileges.root`. Raises Misconfigured.
    """
    config = loader.load(str(path))
    try:
        uid, gid = privileges.owner(config.paths_vaults)
    except OSError as error:
        raise Misconfigured(f"{config.paths_vaults} cannot be read", error.strerror) from error
    privileges.drop(uid, gid)
    return config
