"""`enc-gateway sessions`: who is in, with what unlocked, and for how long still; and ending it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import click

from gateway.admin import options, output
from gateway.base import json
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import Misconfigured, NotUnlocked, Usage
from gateway.identity import authorized_keys
from gateway.session import channel, layout, protocol, registry, termination
from gateway.session.registry import Session

_EVERY = 2.0
_PATIENCE = 3.0
"""Seconds for a warden to answer; one that is locking has more to do."""

_CLEAR = "\x1b[H\x1b[2J"


class Idle(Record):
    """What a session says of itself, or of a view: what was done last, how many seconds ago, when it locks ("" and
    None: it gave no answer).
    """

    last_activity: str = ""
    idle: int | None = None
    locks_in: int | None = None


class Seen(Record):
    """A live session, the label of its key, and its idle clocks: its own, and one of each view by project."""

    session: Session
    label: str
    clock: Idle
    views: tuple[tuple[str, Idle], ...]

    def fields(self) -> dict[str, object]:
        hidden = ("connection", "views")
        record = {key: value for key, value in self.session.as_dict().items() if key not in hidden}
        since = {str(view.project): view.since for view in self.session.views}
        views = [{"project": name, "since": since[name], **clock.as_dict()} for name, clock in self.views]
        return {**record, "label": self.label, **self.clock.as_dict(), "views": views}


def look(settings: Config) -> tuple[Seen, ...]:
    """Every live session, oldest first."""
    try:
        labels = {entry.blob: entry.label for entry in authorized_keys.load(settings.paths_authorized_keys)}
    except Misconfigured:  # then nobody stays, and until that is so we can say who
        labels = {}
    named = {authorized_keys.fingerprint(blob): label for blob, label in labels.items() if _is_base64(blob)}
    live = registry.live(settings.paths_run)
    return tuple(_seen(settings, session, named.get(session.fingerprint, "")) for session in live)


def _is_base64(blob: str) -> bool:
    try:
        return bool(authorized_keys.fingerprint(blob))
    except ValueError:
        return False


def _seen(settings: Config, session: Session, label: str) -> Seen:
    said = _ask(settings, session)
    of_views = said.get("views")
    clocks = of_views if isinstance(of_views, dict) else {}
    views = tuple((str(view.project), _idle(clocks.get(view.project))) for view in session.views)
    return Seen(session=session, label=output.visible(label), clock=_idle(said), views=views)


def _ask(settings: Config, session: Session) -> Mapping[str, object]:
    """The session's own report (gateway.warden); empty when it has just ended, is busy, or makes no sense."""
    request = protocol.Ask(principal=session.principal, origin="enc-gateway")
    try:
        with channel.connect(os.path.join(layout.directory(settings.paths_run), session.id), layout.SOCKET) as to:
            to.settimeout(_PATIENCE)
            channel.send(to, request)
            reply = channel.receive(to)
        report = json.loads(reply.report) if isinstance(reply, protocol.State) else {}
    except (OSError, protocol.Malformed, ValueError, RecursionError):  # it is another process's word
        return {}
    return report if isinstance(report, dict) else {}


def _idle(said: object) -> Idle:
    values = said if isinstance(said, dict) else {}
    idle, locks_in = values.get("idle"), values.get("locks_in")
    return Idle(
        last_activity=output.visible(str(values.get("last_activity", ""))),
        idle=idle if isinstance(idle, int) else None,
        locks_in=locks_in if isinstance(locks_in, int) else None,
    )


@click.group(invoke_without_command=True, name="sessions")
@click.option("--watch", is_flag=True, help="Show it again every 2 seconds, until Ctrl-C.")
@options.configured
@options.as_json
@click.pass_context
def sessions_(ctx: click.Context, watch: bool, settings: Config, as_json: bool) -> None:
    """Show the live sessions of all principals, or end some."""
    ctx.obj = settings
    if ctx.invoked_subcommand is not None:
        return
    _show(settings, as_json)
    try:
        while watch:
            time.sleep(_EVERY)
            if not as_json and os.isatty(1):
                click.echo(_CLEAR, nl=False)
            _show(settings, as_json)
    except KeyboardInterrupt:
        return


def _show(settings: Config, as_json: bool) -> None:
    seen = look(settings)
    rows = [_row(one) for one in seen]
    words = output.table(_HEADER, rows, "no sessions; nothing is unlocked")
    output.result({"sessions": [one.fields() for one in seen]}, words, as_json)


_HEADER = ("SESSION", "PRINCIPAL", "KEY", "FROM", "SINCE", "LAST ACTIVITY", "LOCKS IN", "UNLOCKED")


def _row(one: Seen) -> tuple[str, ...]:
    session, clock = one.session, one.clock
    views = ", ".join(f"{name} ({_seconds(view.locks_in)})" for name, view in one.views)
    activity = f"{clock.last_activity} {_seconds(clock.idle)} ago" if clock.last_activity else "-"
    key = one.label or session.fingerprint
    where = (session.id, session.principal, key, session.address, session.since)
    return (*where, activity, _seconds(clock.locks_in), views or "-")


def _seconds(number: int | None) -> str:
    return "-" if number is None else f"{number} s"


@sessions_.command()
@click.argument("ids", nargs=-1)
@click.option("--principal", help="All sessions of this principal.")
@click.option("--all", "everybody", is_flag=True, help="All sessions.")
@options.as_json
@click.pass_obj
def kill(settings: Config, ids: tuple[str, ...], principal: str | None, everybody: bool, as_json: bool) -> None:
    """Lock everything in these sessions and end them; returns when that is done."""
    ended = _kill(settings, ids, principal, everybody, as_json)
    output.result({"ended": ended}, "", as_json)


def _kill(
    settings: Config, ids: tuple[str, ...], principal: str | None, everybody: bool, as_json: bool
) -> list[object]:
    live = registry.live(settings.paths_run)
    if unknown := set(ids) - {session.id for session in live}:
        raise NotUnlocked(f"no live session {output.visible(min(unknown))}", "`enc-gateway sessions` lists them")
    if not (ids or principal or everybody):
        raise Usage("say which: ids, --principal or --all")
    chosen = [one for one in live if everybody or one.id in ids or one.principal == principal]
    ended: list[object] = []
    for id_, by_itself in termination.kill(settings.paths_run, chosen):
        ended.append({"session": id_, "killed": not by_itself})
        if not as_json:
            click.echo(f"closed {id_}" if by_itself else f"killed {id_}, which did not answer")
    return ended
