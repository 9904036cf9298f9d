"""`enc-gateway pause` and `resume`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gateway.admin import options
from gateway.audit.log import AuditLog
from gateway.base import json
from gateway.config import loader
from gateway.errors import Misconfigured
from gateway.session import liveness, maintenance, registry, termination

_PATIENCE = 30.0
"""Seconds that a session which was being started takes at most until it shows itself, or gives up."""


@click.command()
@options.settings
@click.option("--message", default="", help="What people are told, on one line.")
@click.option("--lock-now", is_flag=True, help="Lock everything and end all live sessions, too.")
@options.as_json
def pause(settings: Path, message: str, lock_now: bool, as_json: bool) -> None:
    """Let nothing new begin: no session, unlocking or new project, until `resume`, also across a reboot.

    Live sessions go on to their own end, unless --lock-now ends them; it returns when that is done.
    """
    values = loader.load(str(settings))
    maintenance.begin(values.paths_pause, message)
    AuditLog(values.paths_audit, values.audit_syslog, required=False).write("paused", locks_now=lock_now)
    ended = _end_all(values.paths_run) if lock_now else []
    live = len(registry.live(values.paths_run))
    if as_json:
        click.echo(json.dumps({"paused": True, "ended": ended, "live": live}))
    else:
        click.echo(f"paused; {f'{len(ended)} sessions ended, ' if lock_now else ''}{live} live")


def _end_all(run: str) -> list[str]:
    """Every session, also those that are just being started. Raises Misconfigured when one does not end."""
    ended = []
    deadline = time.monotonic() + _PATIENCE
    while liveness.count(run):
        ended += [id_ for id_, _ in termination.kill(run, registry.live(run), reason="paused")]
        if time.monotonic() > deadline:
            raise Misconfigured("a session does not end", "`enc-gateway sessions kill --all`")
        time.sleep(0.05)
    return ended


@click.command()
@options.settings
@options.as_json
def resume(settings: Path, as_json: bool) -> None:
    """End a pause."""
    values = loader.load(str(settings))
    was_paused = maintenance.end(values.paths_pause)
    if was_paused:
        AuditLog(values.paths_audit, values.audit_syslog, required=False).write("resumed")
    if as_json:
        click.echo(json.dumps({"paused": False, "was_paused": was_paused}))
    else:
        click.echo("resumed" if was_paused else "it was not paused")
