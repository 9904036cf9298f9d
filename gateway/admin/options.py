"""Options that the commands share. `configured` loads the configuration and drops root's privileges."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from gateway.admin import output
from gateway.base import privileges
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Misconfigured

CONFIG = Path("/etc/enc/gateway.toml")


def _config_before() -> Path:
    """What stands before the command, as in `enc-gateway --config FILE sessions`; else the gateway's."""
    return next((given for given in _before("settings") if isinstance(given, Path)), CONFIG)


def _json_before() -> bool:
    return any(given is True for given in _before("as_json"))


def _before(name: str) -> Iterator[object]:
    """The option `name` of the commands that this one is part of, the nearest first."""
    context = click.get_current_context(silent=True)
    while context:
        yield context.params.get(name)
        context = context.parent


config_path = click.option(
    "--config",
    "settings",
    default=_config_before,
    show_default=str(CONFIG),
    type=click.Path(path_type=Path, dir_okay=False),
    help="The gateway's configuration file.",
)

as_json = click.option("--json", "as_json", is_flag=True, default=_json_before, help="Print one JSON object.")


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
    """The same; of a configuration that is wrong, what can be used, with a warning. Raises Misconfigured also when that
    would be another gateway's sessions or keys.
    """
    config, ids, error = load_usable(path)
    if error and (lost := loader.lost_places(str(path), must_name=path != CONFIG)):
        raise Misconfigured(f"{error}; so {', '.join(lost)} cannot be known", "correct the file first") from error
    privileges.drop(*ids)
    if error:
        output.note(f"enc-gateway: warning: {error}; nobody can log in, `enc-gateway doctor` says more")
        output.note(f"enc-gateway: going on with what can be used of it: sessions in {config.paths_run}")
    return config


def load_usable(path: Path) -> tuple[Config, tuple[int, int], Misconfigured | None]:
    """What can be used of a configuration, uid and gid of the account, and what is wrong with the file.

    Raises Misconfigured when that is too little to find the vaults.
    """
    config, error = loader.load_usable(str(path))
    try:
        return config, account_ids(config), error
    except Misconfigured as problem:
        raise (error if error and path.exists() else problem) from None


def become_account(config: Config) -> None:
    """If we are root, change to the account that owns the vaults. Raises Misconfigured."""
    privileges.drop(*account_ids(config))


def account_ids(config: Config) -> tuple[int, int]:
    """Uid and gid of the account that owns the vaults. Raises Misconfigured."""
    try:
        return privileges.owner(config.account_directory)
    except FileNotFoundError as error:
        hint = "`sudo enc-gateway setup` makes this host a gateway"
        raise Misconfigured(f"there is no {config.account_directory}", hint) from error
    except OSError as error:
        raise Misconfigured(f"{config.account_directory} cannot be read", error.strerror) from error
