"""`enc-gateway audit report`."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.audit.filters import file_option, filters, log_path, reading, wanted
from gateway.audit import verification
from gateway.audit.report import page, summary
from gateway.audit.report.page import About
from gateway.base import clock, files, privileges, text


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@filters
@file_option
@options.config_path
@options.as_json
def report(file: Path, path: Path | None, settings: Path, as_json: bool, **chosen: str) -> None:
    """Write FILE, an HTML page with sessions, logins and refusals.

    The page loads nothing, so it can be printed or sent. It says whether `audit verify` finds the log unchanged. For
    long periods, totals are complete; tables show the newest 500 rows, and the timeline the newest 300 sessions.
    """
    log = log_path(path, settings)
    choice = wanted(chosen, log, settings)
    found = summary.summarize(reading(path, log, choice))
    is_sound, chain = _chain(log)
    about = About(
        host=socket.gethostname(),
        chosen=", ".join(f"{name} {value}" for name, value in chosen.items() if value),
        written=clock.utc(time.time()),
        chain=chain,
        is_sound=is_sound,
    )
    with privileges.root():
        files.replace(file, page.html(found, about), 0o644)
    counted = f"{text.counted(found.records, 'record')}, {text.counted(found.sessions.count, 'session')}"
    fields = {
        "file": str(file),
        "records": found.records,
        "sessions": found.sessions.count,
        "sound": is_sound,
    }
    output.result(fields, f"wrote {file}: {counted}; {chain}", as_json)


def _chain(log: str) -> tuple[bool, str]:
    """Whether the whole log is as it was written, and that in words."""
    try:
        found = verification.verify(log)
    except FileNotFoundError:
        return True, "the log is empty"
    if found.findings:
        first = found.findings[0]
        counted = text.counted(len(found.findings), "finding")
        return False, f"the log was NOT verified: {counted}, the first at {first.place()}: {first.problem}"
    return (
        True,
        f"the log was verified: {text.counted(found.lines, 'line')} unchanged, head {found.last}:{found.head[:16]}",
    )
