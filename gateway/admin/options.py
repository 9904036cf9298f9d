"""What several of the sysadmin's commands take."""

from __future__ import annotations

from pathlib import Path

import click

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
