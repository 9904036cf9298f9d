"""Options that the commands share. `configured` loads the configuration and drops root's privileges."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.admin import output
from gateway.base import privileges
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Misconfigured

CONFIG = Path("/etc/enc/gateway.toml")


def _config_of_program() -> Path:
    """What stands before the command, as in `enc-gateway --config FILE sessions`."""
    context = click.get_current_context(silent=True)
    given = context.find_root().params.get("settings") if context else None
    return given or CONFIG


config_path = click.option(
    "--config",
    "settings",
    default=_config_of_program,
    show_default=str(CONFIG),
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


def configured_somehow(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `configured`, for a command that only looks or ends things: it has to work while gateway.toml is wrong."""

    @functools.wraps(command)
    def run(*args: Any, settings: Path, **options: Any) -> Any:
        return command(*args, settings=load_usable_as_account(settings), **options)

    return config_path(run)


def load_as_account(path: Path) -> Config:
    """Load the configuration file at `path`. If we are root, also change to the account that owns the vaults; a step
    that needs root then uses `privileges.root`. Raises Misconfigured.
    """
    config = loader.load(str(path))
    become_account(config)
    return config


def load_usable_as_account(path: Path) -> Config:
    """The same; of a configuration that is wrong, what can be used, with a warning."""
    config, error = loader.load_usable(str(path))
    if error:
        output.note(f"enc-gateway: warning: {error}; nobody can log in. This uses {config.paths_run} and the other")
        output.note("paths that can be read; `enc-gateway doctor` says more")
    become_account(config)
    return config


def become_account(config: Config) -> None:
    """If we are root, change to the account that owns the vaults. Raises Misconfigured."""
    try:
        uid, gid = privileges.owner(config.paths_vaults)
    except OSError as error:
        hint = f"{error.strerror}; `sudo enc-gateway setup` makes this host a gateway"
        raise Misconfigured(f"{config.paths_vaults} cannot be read", hint) from error
    privileges.drop(uid, gid)
