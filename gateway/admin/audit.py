"""`enc-gateway audit`: show the log, make a report of it, verify it, rotate it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.audit import query, verification
from gateway.audit.log import AuditLog
from gateway.audit.query import Event, Filter
from gateway.audit.report import page, summary
from gateway.base import clock, files, privileges
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.identity import timespec

Command = Callable[..., None]


_OUTCOME = click.Choice(("", *query.OUTCOMES))


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


_WORDS = f"Only {', '.join(query.OUTCOMES[:-1])} or {query.OUTCOMES[-1]}."

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
        yield query.events(str(path), wanted)
        return
    yield _events(options.enter(settings), wanted)


def _events(loaded: Config, wanted: Filter) -> Iterator[Event]:
    try:
        yield from query.events(loaded.paths_audit, wanted)
    except FileNotFoundError:  # nobody came yet
        if not os.path.isdir(os.path.dirname(loaded.paths_audit)):
            raise Misconfigured(f"the directory of {loaded.paths_audit} is missing") from None


def _moment(text: str) -> str:
    return clock.utc(timespec.past(text)) if text else ""


@click.group()
def audit() -> None:
    """The audit log."""


@audit.command()
@_filters
@_file
@_settings
@options.as_json
def show(path: Path | None, settings: Path, as_json: bool, **asked: str) -> None:
    """Print the log as a table, or as JSON."""
    with _reading(path, settings, asked) as records:
        events = tuple(records)
    header = ("TIME", "EVENT", "PRINCIPAL", "FROM", "WHAT")
    words = output.table(header, [event.cells() for event in events], "no records")
    output.result({"records": [event.fields() for event in events]}, words, as_json)


@audit.command()
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
    with privileges.root():
        files.replace(file, page.html(told, chosen, clock.utc(time.time())), 0o644)
    words = f"wrote {file}: {told.records} records, {told.sessions.count} sessions"
    output.result({"file": str(file), "records": told.records, "sessions": told.sessions.count}, words, as_json)


@audit.command()
@_file
@_settings
@options.as_json
def verify(path: Path | None, settings: Path, as_json: bool) -> None:
    """Check that no line was changed, removed or inserted. Exits with 1 when one was."""
    found = verification.verify(str(path or options.enter(settings).paths_audit))
    rows = [one.as_dict() for one in found.findings]
    since = f" from number {found.first} on" if found.first > 1 else ""
    words = [f"{one.place()}: {one.problem}" for one in found.findings]
    words.append(f"{found.lines} lines{since}, {len(rows) or 'no'} findings; head {found.head}")
    fields = {"lines": found.lines, "first": found.first, "head": found.head, "findings": rows}
    output.result(fields, "\n".join(words), as_json)
    sys.exit(1 if rows else 0)


@audit.command()
@options.configured
@click.option("--due", is_flag=True, help="Only when the log has reached audit.rotate.")
@options.as_json
def rotate(settings: Config, due: bool, as_json: bool) -> None:
    """Close the log as LOG.NUMBER and begin a new one that goes on with its chain.

    `audit verify` checks both as one. audit.keep says how many closed ones are kept; that others were deleted is in
    the record with which the new one begins.
    """
    closed = ""
    if not due or _is_due(settings):
        closed = AuditLog(settings.paths_audit, settings.audit_syslog).rotate(settings.audit_keep)
    words = f"closed {closed}" if closed else "nothing to rotate"
    output.result({"closed": closed or None}, words, as_json)


def _is_due(values: Config) -> bool:
    try:
        return 0 < values.audit_rotate << 20 <= os.stat(values.paths_audit).st_size
    except FileNotFoundError:
        return False
