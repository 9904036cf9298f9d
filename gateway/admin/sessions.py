"""`enc-gateway sessions`: list live sessions, their unlocked projects and idle clocks, and end sessions."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.admin import hosts, options, output
from gateway.admin.ending import kill
from gateway.admin.hosts import Host
from gateway.admin.usage import Group
from gateway.audit import administration
from gateway.base import json, text
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.identity import authorized_keys
from gateway.session import asking, cleanup, protocol, registry
from gateway.session.asking import Answer
from gateway.session.registry import Session

_WATCH_SECONDS = 2.0
_ANSWER_SECONDS = 3.0
"""Without an answer from any session; those that are left are listed as such that do not answer."""

_CLEAR_SCREEN = "\x1b[H\x1b[2J"


class IdleClock(Record):
    """The idle clock of a session or a view: the last activity, the seconds since then, and the seconds until it locks.
    "" and None when the session did not report it.
    """

    last_activity: str = ""
    idle: int | None = None
    locks_in: int | None = None


class LiveSession(Record):
    """A live session, the label of its key, its idle clock, and the idle clock of each view by project.

    `answers`: whether its warden answered in time. `host` is the one of a cluster that has it; of another one's,
    nothing but its record is known, and it answers if that host does.
    """

    session: Session
    label: str
    answers: bool
    clock: IdleClock
    views: tuple[tuple[str, IdleClock], ...]
    host: str = ""

    def fields(self) -> dict[str, object]:
        hidden = ("connection", "views", "protocol", "holders")
        record = {key: value for key, value in self.session.as_dict().items() if key not in hidden}
        since = {str(view.project): view.since for view in self.session.views}
        views = [{"project": name, "since": since[name], **clock.as_dict()} for name, clock in self.views]
        holders = [
            {key: value for key, value in one.as_dict().items() if key != "connection"} for one in self.session.holders
        ]
        return {
            **({"host": self.host} if self.host else {}),
            **record,
            "label": self.label,
            "answers": self.answers,
            **self.clock.as_dict(),
            "views": views,
            "holders": holders,
        }


def collect(settings: Config) -> tuple[LiveSession, ...]:
    """Every live session, oldest first; those of other hosts after ours. The end of dead ones is recorded."""
    try:
        labels = {entry.blob: entry.label for entry in authorized_keys.load(settings.paths_authorized_keys)}
    except Misconfigured:  # sessions are about to end then; until they have, list them without labels
        labels = {}
    named = {authorized_keys.fingerprint(blob): label for blob, label in labels.items() if _is_base64(blob)}
    cleanup.sweep(settings.paths_run, administration.log(settings), "enc-gateway sessions")
    live = registry.live(settings.paths_run)
    requests = [(one, protocol.Ask(principal=one.principal, origin="enc-gateway")) for one in live]
    answers = {answer.session.id: answer for answer in asking.ask_all(settings.paths_run, requests, _ANSWER_SECONDS)}
    here = tuple(_with_clocks(answers[one.id], named.get(one.fingerprint, "")) for one in live)
    elsewhere = (
        _of_other(one, host, named.get(one.fingerprint, "")) for host in hosts.others(settings) for one in host.sessions
    )
    return (*(one.replace(host=settings.cluster_host) for one in here), *elsewhere)


def _of_other(session: Session, host: Host, label: str) -> LiveSession:
    return LiveSession(
        session=session,
        label=output.visible(label),
        answers=not host.silent_for,
        clock=IdleClock(),
        views=tuple((str(view.project), IdleClock()) for view in session.views),
        host=host.name,
    )


def _is_base64(blob: str) -> bool:
    try:
        return bool(authorized_keys.fingerprint(blob))
    except ValueError:
        return False


def _with_clocks(answer: Answer, label: str) -> LiveSession:
    session, report = answer.session, _report(answer)
    of_views = report.get("views")
    clocks = of_views if isinstance(of_views, dict) else {}
    views = tuple((str(view.project), _clock(clocks.get(view.project))) for view in session.views)
    return LiveSession(
        session=session,
        label=output.visible(label),
        answers=not answer.is_silent,
        clock=_clock(report),
        views=views,
    )


def _report(answer: Answer) -> Mapping[str, object]:
    """The report of the session's warden; {} when the session has ended, is silent, or sends something else."""
    if answer.reply is None:
        return {}
    with answer.reply as reply:
        try:
            report = json.loads(reply.report) if isinstance(reply, protocol.State) else {}
        except (ValueError, RecursionError):  # the answer is untrusted
            return {}
    return report if isinstance(report, dict) else {}


def _clock(reported: object) -> IdleClock:
    values = reported if isinstance(reported, dict) else {}
    idle, locks_in = values.get("idle"), values.get("locks_in")
    return IdleClock(
        last_activity=output.visible(str(values.get("last_activity", ""))),
        idle=idle if isinstance(idle, int) else None,
        locks_in=locks_in if isinstance(locks_in, int) else None,
    )


@click.group(cls=Group, invoke_without_command=True, name="sessions")
@click.option("--watch", is_flag=True, help="Print the list every 2 seconds, until Ctrl-C.")
@options.config_path
@options.as_json
@click.pass_context
def sessions_(ctx: click.Context, watch: bool, settings: Path, as_json: bool) -> None:
    """List live sessions, or end them.

    A project with members has a session of its own: PRINCIPAL are all who have it unlocked, KEY and FROM are of who is
    there longest, and UNLOCKED names the owner. In a cluster, HOST says where each session is; the idle
    clocks of other hosts' sessions are told there.
    """
    if ctx.invoked_subcommand is None:
        _list(options.load_usable_as_account(settings), watch, as_json)


sessions_.add_command(kill)


def _list(settings: Config, watch: bool, as_json: bool) -> None:
    _show(settings, as_json)
    try:
        while watch:
            time.sleep(_WATCH_SECONDS)
            if not as_json and os.isatty(1):
                click.echo(_CLEAR_SCREEN, nl=False)
            _show(settings, as_json)
    except KeyboardInterrupt:
        return


def _show(settings: Config, as_json: bool) -> None:
    listed = collect(settings)
    prints = output.Fingerprints(print_ for one in listed for print_ in _prints(one.session))
    rows = [_row(one, prints) for one in listed]
    header: tuple[str, ...] = _HEADER
    if output.at_terminal():  # to fit 80 columns: since when, and what was done last, is in the pipe and in JSON
        header, rows = _short(_HEADER), [_short(row) for row in rows]
    if settings.cluster_directory:
        header, rows = ("HOST", *header), [(one.host, *row) for one, row in zip(listed, rows, strict=True)]
    words = output.table(header, rows, "no sessions; nothing is unlocked", whole=("SESSION", "FROM"))
    output.result({"sessions": [one.fields() for one in listed]}, words, as_json)


_HEADER = ("SESSION", "PRINCIPAL", "KEY", "FROM", "SINCE", "LAST ACTIVITY", "ACTIVE", "LOCKS IN", "UNLOCKED")


def _prints(session: Session) -> list[str]:
    """What may be a fingerprint in its row."""
    return [session.fingerprint, session.principal, *(one.principal for one in session.holders)]


def _short(row: tuple[str, ...]) -> tuple[str, ...]:
    return (*row[:4], *row[6:])


def _row(one: LiveSession, prints: output.Fingerprints) -> tuple[str, ...]:
    session, clock = one.session, one.clock
    owner = f"{prints.short(session.principal)}/" if session.shared else ""
    views = ", ".join(f"{owner}{name} (locks in {_span(view.locks_in)})" for name, view in one.views)
    active = f"{_span(clock.idle)} ago" if clock.idle is not None else "-"
    if not one.answers:
        active = "does not answer"
    key = one.label if one.label and output.at_terminal() else prints.named(session.fingerprint, one.label)
    more = f" and {len(session.holders) - 1} more" if len(session.holders) > 1 else ""
    who = ", ".join(prints.short(name) for name in dict.fromkeys(session.principals))
    where = (session.id, who, key, session.address + more, output.when(session.since))
    return (*where, clock.last_activity or "-", active, _span(clock.locks_in), views or "-")


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return text.duration(seconds) if output.at_terminal() else f"{seconds} s"
