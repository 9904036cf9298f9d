"""`enc-gateway audit show` and `report`: the log, for people."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from gateway import auditview, config
from gateway.admin import account, files, options, page, summary
from gateway.auditview import Event, Filter
from gateway.config import Config
from gateway.errors import Misconfigured

Command = Callable[..., None]


_OUTCOME = click.Choice(("", *auditview.OUTCOMES))


def _filters(command: Command) -> Command:
    """The options that say which records."""
    choices = (
        click.option("--principal", default="", help="Only this principal's."),
        click.option("--key", default="", metavar="FINGERPRINT", help="Only this key's; the beginning of it will do."),
        click.option("--project", default="", help="Only of this project."),
        click.option("--verb", default="", help="Only of this command, and of what came of it."),
        click.option("--outcome", default="", type=_OUTCOME, metavar="WORD", help=_WORDS),
        click.option("--since", default="", metavar="MOMENT", help="2026-11-25, 2026-11-25T18:00, or a span as 24h."),
        click.option("--until", default="", metavar="MOMENT", help="As --since; the first moment that does not count."),
    )
    for choice in reversed(choices):
        command = choice(command)
    return command


_WORDS = f"Only {', '.join(auditview.OUTCOMES[:-1])} or {auditview.OUTCOMES[-1]}."

_file = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The log; by default the one that the configuration names.",
)
_settings = click.option(
    "--config", "settings", default=options.CONFIG, show_default=True, type=click.Path(path_type=Path, dir_okay=False)
)


@contextlib.contextmanager
def _reading(path: Path | None, settings: Path, asked: dict[str, str]) -> Iterator[Iterator[Event]]:
    """The records that are asked for, for the time of the block, in which each is read when it comes to it."""
    wanted = Filter(**{**asked, **{name: _moment(asked[name]) for name in ("since", "until")}})
    if path:
        yield auditview.events(str(path), wanted)
        return
    loaded = config.load(str(settings))
    with account.acting(loaded):
        yield _events(loaded, wanted)


def _events(loaded: Config, wanted: Filter) -> Iterator[Event]:
    try:
        yield from auditview.events(loaded.paths_audit, wanted)
    except FileNotFoundError:  # nobody came yet
        if not os.path.isdir(os.path.dirname(loaded.paths_audit)):
            raise Misconfigured(f"the directory of {loaded.paths_audit} is missing") from None


def _moment(text: str) -> str:
    return options.utc(options.past(text)) if text else ""


@click.command()
@_filters
@_file
@_settings
@options.as_json
def show(path: Path | None, settings: Path, as_json: bool, **asked: str) -> None:
    """Print the log as a table, or as JSON."""
    with _reading(path, settings, asked) as records:
        events = tuple(records)
    header = ("TIME", "EVENT", "PRINCIPAL", "FROM", "WHAT")
    words = options.table(header, [event.cells() for event in events], "no records")
    options.result({"records": [event.fields() for event in events]}, words, as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_filters
@_file
@_settings
@options.as_json
def report(file: Path, path: Path | None, settings: Path, as_json: bool, **asked: str) -> None:
    """Write FILE, one HTML page of what went on: it loads nothing, and can be printed or sent.

    Of a long time its tables and its picture have the newest, and say how much was left out.
    """
    with _reading(path, settings, asked) as records:
        told = summary.of(records)
    chosen = ", ".join(f"{name} {value}" for name, value in asked.items() if value)
    files.replace(file, page.html(told, chosen, options.utc(time.time())))
    words = f"wrote {file}: {told.records} records, {told.sessions.count} sessions"
    options.result({"file": str(file), "records": told.records, "sessions": told.sessions.count}, words, as_json)
