"""Why a program failed that talks to the gateway, in one line, from what it wrote to standard error."""

from __future__ import annotations

import re
import sys

from client.connection import ssh, ssh_errors
from client.system import terminal_text

_SHOWN_LINES = 10
_CONNECTION = "rsync: connection unexpectedly closed"
_NO_NEWS = re.compile(rf"rsync error: |{_CONNECTION}|rsync: \[\w+\] (?:write|read) error: ")
"""What rsync says besides the reason."""


def of_gateway(text: str) -> str:
    """The gateway's own refusal in it; "" if there is none."""
    lines = [line for line in text.splitlines() if line.startswith(ssh_errors.GATEWAYS_ERROR)]
    return terminal_text.in_one_line(lines[0].removeprefix(ssh_errors.GATEWAYS_ERROR)) if lines else ""


def reason(program: str, text: str, status: int, quiet: bool = False) -> str:
    """Why `program` failed, "" if it did not. What does not fit into the line is printed before, unless `quiet`: as
    text, for it can be the gateway's.
    """
    said = [line for line in text.splitlines() if line.strip()]
    lines = [line for line in said if not _NO_NEWS.match(line)]
    if status and (refused := of_gateway(text)):
        return refused
    if status and len(lines) == 1:
        return terminal_text.in_one_line(lines[0].removeprefix(f"{program}: "))
    if status and not lines and (status == ssh.FAILED or any(line.startswith(_CONNECTION) for line in said)):
        return "the connection has ended"
    shown = [] if quiet else [*lines[:_SHOWN_LINES], *(["..."] if len(lines) > _SHOWN_LINES else [])]
    for line in shown:
        print(terminal_text.in_one_line(line), file=sys.stderr)
    return f"{program} failed with exit status {status}" if status else ""
