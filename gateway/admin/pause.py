"""`enc-gateway pause` and `resume`."""

from __future__ import annotations

import time

import click

from gateway.admin import options, output
from gateway.audit import administration
from gateway.base import privileges
from gateway.config.schema import Config
from gateway.errors import Misconfigured, Usage
from gateway.session import liveness, maintenance, registry, termination

_END_TIMEOUT = 30.0
"""Seconds. Longer than a session that is just starting takes until it can be ended, or gives up."""


@click.command()
@options.configured_somehow
@click.option("--message", help="One line that users see when they are refused. Without it, an earlier one stays.")
@click.option("--lock-now", is_flag=True, help="Also lock all projects and end all live sessions.")
@click.option("--status", "only_show", is_flag=True, help="Only say whether the gateway is paused. Changes nothing.")
@options.as_json
def pause(settings: Config, message: str | None, lock_now: bool, only_show: bool, as_json: bool) -> None:
    """Refuse new sessions, unlocks and projects until `resume`.

    The pause outlives a reboot. Live sessions continue unless --lock-now is given, which returns when they have ended.
    """
    if only_show and (lock_now or message is not None):
        raise Usage("--status changes nothing, so it takes neither --message nor --lock-now")
    before = maintenance.message(settings.paths_pause)
    if only_show:
        _show(settings, before is not None, before or "", as_json)
        return
    shown = (before or "") if message is None else message
    if before is None or message is not None:
        with privileges.root():
            maintenance.begin(settings.paths_pause, shown)
        administration.record(settings, "paused", required=False, locks_now=lock_now)
    ended = _end_all(settings) if lock_now else []
    live = len(registry.live(settings.paths_run))
    state = "paused" if before is None else "was paused already"
    words = f"{state}{f'; sessions ended: {len(ended)},' if lock_now else ';'} live sessions: {live}"
    fields = {"paused": True, "was_paused": before is not None, "message": shown, "ended": ended, "live": live}
    output.result(fields, f"{words}\n{_told(shown)}", as_json)


def _show(settings: Config, is_paused: bool, message: str, as_json: bool) -> None:
    live = len(registry.live(settings.paths_run))
    words = f"not paused; live sessions: {live}"
    if is_paused:
        words = f"paused; live sessions: {live}\n{_told(message)}"
    output.result({"paused": is_paused, "message": message, "live": live}, words, as_json)


def _told(message: str) -> str:
    return f"users see: {output.visible(str(maintenance.paused(message)))}"


def _end_all(settings: Config) -> list[str]:
    """End every session, also those that are just starting. Raises Misconfigured when one does not end."""
    run, log = settings.paths_run, administration.log(settings)
    ended: list[str] = []
    remaining: set[str] = set()
    deadline = time.monotonic() + _END_TIMEOUT
    while liveness.count(run) > len(remaining):
        chosen = [session for session in registry.live(run) if session.id not in remaining]
        for one in termination.end(run, chosen, settings.lock_grace, log, "enc-gateway pause", "paused"):
            if one.how == termination.REMAINS:
                remaining.add(one.session.id)
            else:
                ended.append(one.session.id)
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if left := liveness.count(run):
        named = f": {' '.join(sorted(remaining))}" if remaining else ""
        raise Misconfigured(
            f"{left} sessions do not end{named}", "`enc-gateway doctor` says more; all others have ended"
        )
    return ended


@click.command()
@options.configured_somehow
@options.as_json
def resume(settings: Config, as_json: bool) -> None:
    """End a pause: let new sessions begin again."""
    with privileges.root():
        was_paused = maintenance.end(settings.paths_pause)
    if was_paused:
        administration.record(settings, "resumed", required=False)
    words = "resumed" if was_paused else "the gateway was not paused"
    output.result({"paused": False, "was_paused": was_paused}, words, as_json)
