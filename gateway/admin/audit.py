"""`enc-gateway audit`: show, report, verify and rotate the audit log."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.audit import history, query, rotation, verification
from gateway.audit.archives import DIGITS
from gateway.audit.log import AuditLog
from gateway.audit.query import Event, Filter
from gateway.audit.report import page, summary
from gateway.audit.verification import Head
from gateway.base import clock, files, privileges
from gateway.config.schema import Config
from gateway.errors import Misconfigured, Usage
from gateway.identity import timespec

Command = Callable[..., None]

_OUTCOME = click.Choice(("", *query.OUTCOMES))
_OUTCOME_HELP = f"Only records of this outcome: {', '.join(query.OUTCOMES)}."


def _filters(command: Command) -> Command:
    """Add the options that choose records."""
    choices = (
        click.option("--principal", default="", help="Only records of this principal."),
        click.option(
            "--key",
            default="",
            metavar="FINGERPRINT",
            help="Only records of this key. The first characters are enough.",
        ),
        click.option("--project", default="", help="Only records of this project."),
        click.option("--verb", default="", help="Only requests for this command, and what followed from them."),
        click.option("--outcome", default="", type=_OUTCOME, metavar="WORD", help=_OUTCOME_HELP),
        click.option(
            "--since", default="", metavar="TIME", help="From this time on: 2026-11-25, 2026-11-25T18:00, or 24h (ago)."
        ),
        click.option("--until", default="", metavar="TIME", help="Up to, but not including, this time."),
    )
    for choice in reversed(choices):
        command = choice(command)
    return command


_file = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="paths.audit of the configuration",
    help="The log to read.",
)


@contextlib.contextmanager
def _reading(path: Path | None, settings: Path, chosen: dict[str, str]) -> Iterator[Iterator[Event]]:
    """The records that the options choose, read lazily within the block."""
    wanted = Filter(**{**chosen, **{name: _utc(chosen[name]) for name in ("since", "until")}})
    if path:
        yield query.events(str(path), wanted)
        return
    yield _events(options.load_as_account(settings), wanted)


def _events(loaded: Config, wanted: Filter) -> Iterator[Event]:
    try:
        yield from query.events(loaded.paths_audit, wanted)
    except FileNotFoundError:  # nothing was recorded yet
        if not os.path.isdir(os.path.dirname(loaded.paths_audit)):
            raise Misconfigured(f"the directory of {loaded.paths_audit} is missing") from None


def _utc(text: str) -> str:
    return clock.utc(timespec.past(text)) if text else ""


@click.group()
def audit() -> None:
    """Show, verify, rotate and report the audit log."""


@audit.command()
@_filters
@_file
@options.config_path
@options.as_json
def show(path: Path | None, settings: Path, as_json: bool, **filters: str) -> None:
    """Print the records as a table, or as JSON."""
    with _reading(path, settings, filters) as records:
        events = tuple(records)
    header = ("TIME", "EVENT", "PRINCIPAL", "FROM", "WHAT")
    words = output.table(header, [event.cells() for event in events], "no records")
    output.result({"records": [event.fields() for event in events]}, words, as_json)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_filters
@_file
@options.config_path
@options.as_json
def report(file: Path, path: Path | None, settings: Path, as_json: bool, **filters: str) -> None:
    """Write FILE, an HTML page with sessions, logins and refusals.

    The page loads nothing, so it can be printed or sent. For long periods, totals are complete; tables show the newest
    500 rows, and the timeline the newest 300 sessions.
    """
    with _reading(path, settings, filters) as records:
        found = summary.summarize(records)
    chosen = ", ".join(f"{name} {value}" for name, value in filters.items() if value)
    with privileges.root():
        files.replace(file, page.html(found, chosen, clock.utc(time.time())), 0o644)
    words = f"wrote {file}: {found.records} records, {found.sessions.count} sessions"
    output.result({"file": str(file), "records": found.records, "sessions": found.sessions.count}, words, as_json)


@audit.command()
@_file
@options.config_path
@click.option("--after", default="", metavar="HEAD", help="Only the lines after a head that an earlier verify printed.")
@click.option("--quick", is_flag=True, help="Do not read closed logs whose size and times are as noted.")
@options.as_json
def verify(path: Path | None, settings: Path, after: str, quick: bool, as_json: bool) -> None:
    """Check that no record was changed, removed or inserted.

    Exits with 1 when one was. Note the head that it prints on another host: whoever can write the log can recompute
    the whole chain. With --after and a head that you noted, such a change is found too, in all lines after it; the
    lines before are not read. --quick finds accidents; it believes what rotation noted of the closed logs, and so does
    not find a change by somebody who can write there.
    """
    if after and quick:
        raise Usage("--after and --quick exclude each other")
    head = _head(after) if after else None
    log = str(path or options.load_as_account(settings).paths_audit)
    found = verification.verify_after(log, head) if head else verification.verify(log, quick)
    rows = [one.as_dict() for one in found.findings]
    since = f" from number {found.first} on" if found.first > 1 else ""
    unread = f" ({found.unread} of them as noted, in closed logs that were not read)" if found.unread else ""
    words = [f"{one.place()}: {one.problem}" for one in found.findings]
    words.append(f"{found.lines} lines{since}{unread}, {len(rows) or 'no'} findings; head {found.last}:{found.head}")
    numbers = {"lines": found.lines, "unread": found.unread, "first": found.first, "last": found.last}
    output.result({**numbers, "head": found.head, "findings": rows}, "\n".join(words), as_json)
    sys.exit(1 if rows else 0)


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) <= DIGITS and _HASH.fullmatch(digest)):
        raise Usage("a head is a number, a colon and 64 hexadecimal digits, as verify prints it")
    return Head(number=int(number), hash=digest)


_HASH = re.compile("[0-9a-f]{64}")


@audit.command()
@options.configured
@click.option("--due", is_flag=True, help="Only if the log has reached audit.rotate in size.")
@options.as_json
def rotate(settings: Config, due: bool, as_json: bool) -> None:
    """Rename the log to LOG.NUMBER and begin a new one.

    The new log continues the chain of the old one, and `audit verify` checks all of them together. With audit.keep,
    older rotated logs are deleted; the first record of the new log says which.
    """
    archive = ""
    if not due or _is_due(settings):
        log = AuditLog(settings.paths_audit, settings.audit_syslog)
        archive = rotation.rotate(log, settings.audit_keep)
    elif os.path.exists(settings.paths_audit):
        history.note(settings.paths_audit)
    words = f"rotated to {archive}" if archive else "nothing to rotate"
    output.result({"closed": archive or None}, words, as_json)


def _is_due(settings: Config) -> bool:
    try:
        return 0 < settings.audit_rotate << 20 <= os.stat(settings.paths_audit).st_size
    except FileNotFoundError:
        return False
