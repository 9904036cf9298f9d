"""`enc-gateway`: the sysadmin's command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import structlog

from gateway import auditcheck, config
from gateway.admin import backup, history, keys, live, metrics, options, projects, why
from gateway.admin.doctor import doctor
from gateway.admin.pause import pause, resume
from gateway.admin.rotate import rotate
from gateway.admin.setup import setup
from gateway.admin.sweep import sweep
from gateway.errors import EncError, Usage


class _Main(click.Group):
    """Words errors and exits, for every command below it."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except EncError as error:
            if "--json" in sys.argv:  # as rshell.terminal.failure: a program waits for an object in any case
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
    """Run and inspect an ENC gateway."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


@main.command()
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


for _command in (setup, doctor, pause, resume, sweep):
    main.add_command(_command)


@main.group()
def audit() -> None:
    """The audit log."""


_log_file = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The log; by default the one that {options.CONFIG} names.",
)


def _log(path: Path | None) -> str:
    return str(path or config.load(str(options.CONFIG)).paths_audit)


audit.add_command(rotate)


@audit.command()
@_log_file
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(path: Path | None, as_json: bool) -> None:
    """Check that no line was changed, removed or inserted. Exits with 1 when one was."""
    report = auditcheck.verify(_log(path))
    if as_json:
        findings = [finding.as_dict() for finding in report.findings]
        click.echo(
            json.dumps({"lines": report.lines, "first": report.first, "head": report.head, "findings": findings})
        )
    else:
        for finding in report.findings:
            click.echo(f"{finding.place()}: {finding.problem}")
        since = f" from number {report.first} on" if report.first > 1 else ""
        click.echo(f"{report.lines} lines{since}, {len(report.findings) or 'no'} findings; head {report.head}")
    sys.exit(1 if report.findings else 0)


main.add_command(keys.key)
main.add_command(live.sessions_)
main.add_command(projects.vaults_)
main.add_command(metrics.metrics)
main.add_command(backup.backup)
main.add_command(backup.restore)
main.add_command(why.why)
audit.add_command(history.show)
audit.add_command(history.report)
