"""`enc-gateway sessions`: list live sessions, their unlocked projects and idle clocks, and end sessions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.keys import known, lookup
from gateway.admin.usage import Group
from gateway.audit import administration
from gateway.base import json, text
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import Internal, Misconfigured, NotUnlocked, Usage
from gateway.identity import authorized_keys
from gateway.identity.names import Principal
from gateway.session import asking, cleanup, maintenance, protocol, registry, termination
from gateway.session.asking import Answer
from gateway.session.registry import Session
from gateway.session.termination import CLOSED, KILLED, REMAINS, Ended

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

    `answers`: whether its warden answered in time.
    """

    session: Session
    label: str
    answers: bool
    clock: IdleClock
    views: tuple[tuple[str, IdleClock], ...]

    def fields(self) -> dict[str, object]:
        hidden = ("connection", "views", "protocol", "holders")
        record = {key: value for key, value in self.session.as_dict().items() if key not in hidden}
        since = {str(view.project): view.since for view in self.session.views}
        views = [{"project": name, "since": since[name], **clock.as_dict()} for name, clock in self.views]
        holders = [
            {key: value for key, value in one.as_dict().items() if key != "connection"} for one in self.session.holders
        ]
        return {
            **record,
            "label": self.label,
            "answers": self.answers,
            **self.clock.as_dict(),
            "views": views,
            "holders": holders,
        }


def collect(settings: Config) -> tuple[LiveSession, ...]:
    """Every live session, oldest first. The end of dead ones is recorded."""
    try:
        labels = {entry.blob: entry.label for entry in authorized_keys.load(settings.paths_authorized_keys)}
    except Misconfigured:  # sessions are about to end then; until they have, list them without labels
        labels = {}
    named = {authorized_keys.fingerprint(blob): label for blob, label in labels.items() if _is_base64(blob)}
    cleanup.sweep(settings.paths_run, administration.log(settings), "enc-gateway sessions")
    live = registry.live(settings.paths_run)
    requests = [(one, protocol.Ask(principal=one.principal, origin="enc-gateway")) for one in live]
    answers = {answer.session.id: answer for answer in asking.ask_all(settings.paths_run, requests, _ANSWER_SECONDS)}
    return tuple(_with_clocks(answers[one.id], named.get(one.fingerprint, "")) for one in live)


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
    there longest, and UNLOCKED names the owner.
    """
    if ctx.invoked_subcommand is None:
        _list(options.load_usable_as_account(settings), watch, as_json)


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
    who = ", ".join(prints.short(name) for name in dict.fromkeys(_holding(session)))
    where = (session.id, who, key, session.address + more, output.when(session.since))
    return (*where, clock.last_activity or "-", active, _span(clock.locks_in), views or "-")


def _holding(session: Session) -> list[str]:
    """The principals who hold it, who is there longest first: in a shared one, not always the project's owner."""
    return [one.principal for one in session.holders] if session.shared else [session.principal]


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return text.duration(seconds) if output.at_terminal() else f"{seconds} s"


@sessions_.command()
@click.argument("ids", nargs=-1)
@click.option("--principal", help="End all sessions of this principal (or of the principal whose key or label it is).")
@click.option("--all", "all_sessions", is_flag=True, help="End all sessions.")
@options.configured_somehow
@options.as_json
def kill(ids: tuple[str, ...], principal: str | None, all_sessions: bool, settings: Config, as_json: bool) -> None:
    """Lock all projects of sessions and end them.

    IDS are as `sessions` shows them; the beginning of one is enough. Returns when the sessions have ended. --principal
    also ends the sessions of shared projects that they have unlocked, for all who are in them. With --principal or
    --all, a `rekey` ends as well; its user can continue it.
    """
    how = _kill(settings, ids, principal, all_sessions, as_json)
    ended = [{"session": one.session.id, "killed": one.how == KILLED} for one in how if one.how != REMAINS]
    remaining = [one.session.id for one in how if one.how == REMAINS]
    output.result({"ended": ended, "remaining": remaining}, "", as_json)
    sys.exit(Internal.code if remaining else 0)


_KILL_WORDS = {
    CLOSED: "ended {}: everything in it is locked",
    KILLED: "ended {}: it did not answer and was killed; everything in it is locked",
    REMAINS: "{} is still there: it does not answer, and no process is its warden; `enc-gateway doctor` says more",
}


def _kill(
    settings: Config, ids: tuple[str, ...], principal: str | None, all_sessions: bool, as_json: bool
) -> list[Ended]:
    log, command = administration.log(settings), "enc-gateway sessions kill"
    cleanup.sweep(settings.paths_run, log, command)
    live = registry.live(settings.paths_run)
    if not (ids or principal is not None or all_sessions):
        raise Usage(
            "which sessions?", "name their ids, as `enc-gateway sessions` lists them, or give --principal NAME or --all"
        )
    named = {_named(word, live, settings) for word in ids}
    whose = principal
    if principal is not None:
        whose = lookup.find_principal(principal, known.everybody(settings), lookup.nobody(principal))
    chosen = [one for one in live if all_sessions or one.id in named or _is_of(one, whose)]
    if all_sessions or whose:
        maintenance.end_rekeying(settings.paths_run, None if all_sessions else Principal(whose))
    if not chosen and not as_json:
        click.echo(f"{output.visible(whose)} has no session" if whose else "no sessions; nothing is unlocked")
    how = []
    for one in termination.end(settings.paths_run, chosen, settings.lock_grace, log, command):
        how.append(one)
        if not as_json:
            click.echo(_KILL_WORDS[one.how].format(one.session.id))
    return how


def _is_of(session: Session, principal: str | None) -> bool:
    return principal is not None and principal in (session.principal, *_holding(session))


_SHORTEST_ID = 4


def _named(word: str, live: Iterable[Session], settings: Config) -> str:
    """The id of the live session that `word` is, or is the beginning of. Raises NotUnlocked, Usage."""
    ids = [one.id for one in live if one.id == word or (len(word) >= _SHORTEST_ID and one.id.startswith(word))]
    if len(ids) > 1:
        raise Usage(f"{output.visible(word)} names {len(ids)} sessions", f"name one of them: {', '.join(ids)}")
    if ids:
        return ids[0]
    hint = "`enc-gateway sessions` lists the live ones"
    if any(word in (one.principal, one.label) for one in known.everybody(settings)):
        hint = f"for all sessions of a principal: `enc-gateway sessions kill --principal {output.visible(word)}`"
    raise NotUnlocked(f"no live session {output.visible(word)}", hint)
