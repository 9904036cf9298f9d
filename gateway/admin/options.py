"""What the commands share: the options, how results are printed, and how moments are written."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.config.loader import load
from gateway.config.schema import Config

CONFIG = Path("/etc/enc/gateway.toml")


def _load(_ctx: click.Context, _param: click.Parameter, path: Path) -> Config:
    return load(str(path))


settings = click.option(
    "--config",
    "settings",
    default=CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The gateway's configuration.",
)


configured = click.option(
    "--config",
    "settings",
    default=CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_load,
    help="The gateway's configuration.",
)
"""The same, for a command that takes what is in it."""


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
