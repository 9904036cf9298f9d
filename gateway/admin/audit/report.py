"""`enc-gateway audit report`."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.audit.filters import Source, file_option, filters, host_option, source, wanted
from gateway.admin.audit.integrity import checked
from gateway.audit import peers
from gateway.audit.report import page, summary
from gateway.audit.report.page import About
from gateway.base import clock, files, privileges, text


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@filters
@host_option
@file_option
@options.config_path
@options.as_json
def report(file: Path, path: Path | None, settings: Path, host: str, as_json: bool, **chosen: str) -> None:
    """Write FILE, an HTML page with sessions, logins and refusals.

    The page loads nothing, so it can be printed or sent. It says whether `audit verify` finds the log unchanged. For
    long periods, totals are complete; tables show the newest 500 rows, and the timeline the newest 300 sessions.
    In a cluster, it has those of all hosts.
    """
    log = source(path, settings, host)
    choice = wanted(chosen, log, settings)
    with log.readable():
        found = summary.summarize(log.events(choice))
    is_sound, chain = _chain(log)
    about = About(
        host=", ".join(one.host for one in log.logs) if log.is_of_cluster else socket.gethostname(),
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


def _chain(log: Source) -> tuple[bool, str]:
    """Whether the logs are as they were written, and that in words."""
    try:
        found = checked(log)
    except FileNotFoundError:
        return True, "the log is empty"
    logs = "the log was" if len(found) == 1 else "the logs were"
    if findings := peers.findings(found):
        first = findings[0]
        counted = text.counted(len(findings), "finding")
        return False, f"{logs} NOT verified: {counted}, the first at {first.place()}: {first.problem}"
    heads = ", ".join(f"{f'{one.host} ' * bool(one.host)}{one.report.last}:{one.report.head[:16]}" for one in found)
    lines = text.counted(sum(one.report.lines for one in found), "line")
    return True, f"{logs} verified: {lines} unchanged, head {heads}"
