"""`enc-gateway`: the sysadmin's command line."""

from __future__ import annotations

import sys

import click
import structlog

from gateway.admin import audit, backup, keys, metrics, sessions, vaults, why
from gateway.admin.doctor import doctor
from gateway.admin.embedded import embedded
from gateway.admin.pause import pause, resume
from gateway.admin.setup import setup
from gateway.admin.sweep import sweep
from gateway.base import json
from gateway.errors import EncError


class _Main(click.Group):
    """Prints the errors of all commands, and exits."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except EncError as error:
            if "--json" in sys.argv:  # as rshell.terminal.output.failure: with --json, failures are objects too
                about = {"error": error.slug, "message": str(error), "hint": error.hint, "exit": error.code}
                click.echo(json.dumps(about))
            click.echo(f"enc-gateway: {error.line()}", err=True)
            ctx.exit(error.code)
        except OSError as error:
            click.echo(f"enc-gateway: {error.filename or ''}: {error.strerror}", err=True)
            ctx.exit(EncError.code)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="enc-gateway", message="enc-gateway %(version)s")
def main() -> None:
    """Set up, run and inspect an ENC gateway."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


for _command in (
    *(setup, doctor, embedded),
    *(keys.key, sessions.sessions_, vaults.vaults_, audit.audit, why.why),
    *(pause, resume, backup.backup, backup.restore, sweep, metrics.metrics),
):
    main.add_command(_command)
