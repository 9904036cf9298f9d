"""`enc-gateway audit verify` and `audit rotate`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.audit.filters import Source, file_option, host_option, source
from gateway.audit import history, peers, rotation, verification
from gateway.audit.archives import DIGITS
from gateway.audit.log import AuditLog
from gateway.audit.peers import Checked
from gateway.audit.verification import Head, Report
from gateway.base import privileges, text
from gateway.cluster import audit_logs, places
from gateway.config.schema import Config
from gateway.errors import Usage


@click.command()
@host_option
@file_option
@options.config_path
@click.option("--after", default="", metavar="HEAD", help="Only the lines after a head that an earlier verify printed.")
@click.option("--quick", is_flag=True, help="Do not read closed logs whose size and times are as noted.")
@options.as_json
def verify(path: Path | None, settings: Path, host: str, after: str, quick: bool, as_json: bool) -> None:
    """Check that no record was changed, removed or inserted.

    Exits with 1 if a record was changed. Note the head that it prints on another host: whoever can write the log can
    recompute the whole chain. With --after and a head that you noted, such a change is found too, in all lines after
    it; the lines before are not read. --quick finds accidents; it believes what rotation noted of the closed logs, and
    so does not find a change by somebody who can write there.

    In a cluster, the logs of all hosts are checked, also against what the hosts noted of each other and, on each host,
    its log against its copy. --after is for one log: this host's, or that of --host.
    """
    if after and quick:
        raise Usage("--after and --quick exclude each other")
    head = _head(after) if after else None
    log = source(path, settings, host)
    if head:
        with log.readable():
            found: tuple[Checked, ...] = (_after(log, head),)
    else:
        found = checked(log, quick)
    rows = [one.fields() for one in peers.findings(found)]
    words = "\n".join(words for one in found for words in _words(one))
    if log.is_of_cluster:
        hosts = [{"host": one.host, **_numbers(one.report)} for one in found]
        output.result({"hosts": hosts, "findings": rows}, words, as_json)
    else:
        output.result({**_numbers(found[0].report), "findings": rows}, words, as_json)
    sys.exit(1 if rows else 0)


def checked(log: Source, quick: bool = False) -> tuple[Checked, ...]:
    """What a verification finds in the logs. Raises OSError."""
    if not log.config:
        return (Checked(host="", report=verification.verify(log.logs[0].path, quick)),)
    return tuple(one for one in audit_logs.verify(log.config, quick) if log.host in ("", one.host))


def _after(log: Source, head: Head) -> Checked:
    one = log.logs[0]
    return Checked(host=one.host, report=verification.verify_after(one.path, head, one.is_copy)).with_host()


def _numbers(report: Report) -> dict[str, object]:
    return {name: getattr(report, name) for name in ("lines", "unread", "first", "last", "head")}


def _words(one: Checked) -> Iterator[str]:
    """A line for each finding, and one for the log."""
    report = one.report
    since = f" from number {report.first} on" if report.first > 1 else ""
    unread = f" ({report.unread} of them as noted, in closed logs that were not read)" if report.unread else ""
    yield from (f"{finding.place()}: {finding.problem}" for finding in report.findings)
    counted = text.counted(len(report.findings), "finding") if report.findings else "no findings"
    lines = f"{text.counted(report.lines, 'line')}{since}{unread}, {counted}; head {report.last}:{report.head}"
    yield f"{one.host}: {lines}" if one.host else lines


def _head(written: str) -> Head:
    number, _, digest = written.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) <= DIGITS and _HASH.fullmatch(digest)):
        raise Usage("a head is a number, a colon and 64 hexadecimal digits, as verify prints it")
    return Head(number=int(number), hash=digest)


_HASH = re.compile("[0-9a-f]{64}")


@click.command()
@options.configured
@click.option("--due", is_flag=True, help="Only if the log has reached audit.rotate in size.")
@options.as_json
def rotate(settings: Config, due: bool, as_json: bool) -> None:
    """Rename the log to LOG.NUMBER and begin a new one.

    The new log continues the chain of the old one, and `audit verify` checks all of them together. With audit.keep,
    older rotated logs are deleted; the first record of the new log says which. In a cluster, this host's copy follows.
    """
    archive = ""
    if not due or _is_due(settings):
        log = AuditLog(settings.paths_audit, settings.audit_syslog)
        archive = rotation.rotate(log, settings.audit_keep)
    elif os.path.exists(settings.paths_audit):
        history.note(settings.paths_audit)
    if places.is_cluster(settings):
        with privileges.root(), contextlib.suppress(FileNotFoundError):
            history.note(places.audit(settings, settings.cluster_host))
    words = f"rotated to {archive}" if archive else "nothing to rotate"
    output.result({"closed": archive or None}, words, as_json)


def _is_due(settings: Config) -> bool:
    try:
        return 0 < settings.audit_rotate << 20 <= os.stat(settings.paths_audit).st_size
    except FileNotFoundError:
        return False
