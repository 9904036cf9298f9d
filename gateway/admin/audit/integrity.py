"""`enc-gateway audit verify` and `audit rotate`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.audit.filters import file_option, log_path
from gateway.audit import history, rotation, verification
from gateway.audit.archives import DIGITS
from gateway.audit.log import AuditLog
from gateway.audit.verification import Head
from gateway.base import text
from gateway.config.schema import Config
from gateway.errors import Usage


@click.command()
@file_option
@options.config_path
@click.option("--after", default="", metavar="HEAD", help="Only the lines after a head that an earlier verify printed.")
@click.option("--quick", is_flag=True, help="Do not read closed logs whose size and times are as noted.")
@options.as_json
def verify(path: Path | None, settings: Path, after: str, quick: bool, as_json: bool) -> None:
    """Check that no record was changed, removed or inserted.

    Exits with 1 if a record was changed. Note the head that it prints on another host: whoever can write the log can
    recompute the whole chain. With --after and a head that you noted, such a change is found too, in all lines after
    it; the lines before are not read. --quick finds accidents; it believes what rotation noted of the closed logs, and
    so does not find a change by somebody who can write there.
    """
    if after and quick:
        raise Usage("--after and --quick exclude each other")
    head = _head(after) if after else None
    log = log_path(path, settings)
    found = verification.verify_after(log, head) if head else verification.verify(log, quick)
    rows = [one.as_dict() for one in found.findings]
    since = f" from number {found.first} on" if found.first > 1 else ""
    unread = f" ({found.unread} of them as noted, in closed logs that were not read)" if found.unread else ""
    words = [f"{one.place()}: {one.problem}" for one in found.findings]
    counted = text.counted(len(rows), "finding") if rows else "no findings"
    words.append(f"{text.counted(found.lines, 'line')}{since}{unread}, {counted}; head {found.last}:{found.head}")
    numbers = {"lines": found.lines, "unread": found.unread, "first": found.first, "last": found.last}
    output.result({**numbers, "head": found.head, "findings": rows}, "\n".join(words), as_json)
    sys.exit(1 if rows else 0)


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
