"""`enc-gateway`: the sysadmin's command line."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import structlog

from gateway.admin import guidance, metrics, options, pause, sessions, standing, sweep, usage, vaults, why
from gateway.admin.audit import audit
from gateway.admin.backup import backup, restore
from gateway.admin.host import cluster, doctor, embedded, setup
from gateway.admin.keys import keys


@click.group(
    cls=usage.Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="enc-gateway", message="enc-gateway %(version)s", help="Show the version and exit.")
@options.config_path
@options.as_json
@click.pass_context
def main(ctx: click.Context, settings: Path, as_json: bool) -> None:
    """Set up, run and inspect an ENC gateway. Without COMMAND: how it is.

    `enc-gateway help COMMAND` explains a command.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if ctx.invoked_subcommand is None:
        standing.show(settings, as_json)


for _command in (
    *(setup.setup, doctor.doctor, embedded.embedded, cluster.host),
    *(keys.key, sessions.sessions_, vaults.vaults_, audit.audit, why.why),
    *(pause.pause, pause.resume, backup.backup, restore.restore, sweep.sweep, metrics.metrics),
    *(guidance.help_, guidance.completion),
):
    main.add_command(_command)
