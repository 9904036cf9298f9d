"""`enc-gateway sessions kill`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from gateway.admin import hosts, options, output
from gateway.admin.hosts import Host
from gateway.admin.keys import known, lookup
from gateway.audit import administration
from gateway.config.schema import Config
from gateway.errors import Elsewhere, Internal, NotUnlocked, Usage
from gateway.identity.names import Principal
from gateway.session import cleanup, maintenance, registry, termination
from gateway.session.registry import Session
from gateway.session.termination import CLOSED, KILLED, REMAINS, Ended


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--principal", help="End all sessions of this principal (or of the principal whose key or label it is).")
@click.option("--all", "all_sessions", is_flag=True, help="End all sessions.")
@options.configured_somehow
@options.as_json
def kill(ids: tuple[str, ...], principal: str | None, all_sessions: bool, settings: Config, as_json: bool) -> None:
    """Lock all projects of sessions and end them.

    IDS are as `sessions` shows them; the beginning of one is enough. Returns when the sessions have ended. --principal
    also ends the sessions of shared projects that they have unlocked, for all who are in them. With --principal or
    --all, a `rekey` ends as well; its user can continue it. The sessions of another host of a cluster are ended there:
    it says which those are, and exits with 75.
    """
    how, elsewhere = _kill(settings, ids, principal, all_sessions, as_json)
    ended = [{"session": one.session.id, "killed": one.how == KILLED} for one in how if one.how != REMAINS]
    remaining = [one.session.id for one in how if one.how == REMAINS]
    left = {host: [one.id for one in host.sessions] for host in elsewhere}
    fields = [{"host": host.name, "address": host.address, "sessions": found} for host, found in left.items()]
    output.result({"ended": ended, "remaining": remaining, "elsewhere": fields}, "", as_json)
    for host, found in left.items():
        output.note(f"enc-gateway: not ended, as {host.name} has them: {', '.join(found)}; run the same there")
    sys.exit(Internal.code if remaining else Elsewhere.code if elsewhere else 0)


_KILL_WORDS = {
    CLOSED: "ended {}: everything in it is locked",
    KILLED: "ended {}: it did not answer and was killed; everything in it is locked",
    REMAINS: "{} is still there: it does not answer, and no process is its warden; `enc-gateway doctor` says more",
}


def _kill(
    settings: Config, ids: tuple[str, ...], principal: str | None, all_sessions: bool, as_json: bool
) -> tuple[list[Ended], list[Host]]:
    """What was ended, and the other hosts with what they have of the sessions that are meant."""
    log, command = administration.log(settings), "enc-gateway sessions kill"
    cleanup.sweep(settings.paths_run, log, command)
    live = registry.live(settings.paths_run)
    if not (ids or principal is not None or all_sessions):
        raise Usage(
            "which sessions?", "name their ids, as `enc-gateway sessions` lists them, or give --principal NAME or --all"
        )
    elsewhere = hosts.others(settings)
    named = {_named(word, live, elsewhere, settings) for word in ids}
    whose = principal
    if principal is not None:
        whose = lookup.find_principal(principal, known.everybody(settings), lookup.nobody(principal))
    chosen = [one for one in live if all_sessions or one.id in named or _is_of(one, whose)]
    if all_sessions or whose:
        maintenance.end_rekeying(settings.paths_run, None if all_sessions else Principal(whose))
    if not chosen and not as_json:
        here = " here" if elsewhere else ""
        nothing = f"no sessions{here}; nothing is unlocked{here}"
        click.echo(f"{output.visible(whose)} has no session{here}" if whose else nothing)
    how = []
    for one in termination.end(settings.paths_run, chosen, settings.lock_grace, log, command):
        how.append(one)
        if not as_json:
            click.echo(_KILL_WORDS[one.how].format(one.session.id))
    return how, [left for host in elsewhere if (left := _meant(host, live, whose, all_sessions)).sessions]


def _meant(host: Host, live: Iterable[Session], whose: str | None, all_sessions: bool) -> Host:
    """Another host with those of its sessions alone that are meant; it may say that it has ours as well."""
    ours = {one.id for one in live}
    found = (one for one in host.sessions if one.id not in ours and (all_sessions or _is_of(one, whose)))
    return host.replace(sessions=tuple(found))


def _is_of(session: Session, principal: str | None) -> bool:
    return principal is not None and principal in (session.principal, *session.principals)


_SHORTEST_ID = 4


def _named(word: str, live: Iterable[Session], elsewhere: Iterable[Host], settings: Config) -> str:
    """The id of the live session of this host that `word` is, or is the beginning of. Raises NotUnlocked, Usage, and
    Elsewhere when another host has it.
    """
    ours = _ids(word, live)
    theirs = {id_: host for host in elsewhere for id_ in _ids(word, host.sessions) if id_ not in ours}
    ids = [word] if word in ours else [*ours, *theirs]  # another host may say that it has ours as well
    if len(ids) > 1:
        raise Usage(f"{output.visible(word)} names {len(ids)} sessions", f"name one of them: {', '.join(ids)}")
    if host := theirs.get(ids[0]) if ids else None:
        there = f"on that host: `enc-gateway sessions kill {ids[0]}`"
        raise Elsewhere(f"{ids[0]} is a session of {host.name}", there, host=host.name, address=host.address)
    if ids:
        return ids[0]
    hint = "`enc-gateway sessions` lists the live ones"
    if any(word in (one.principal, one.label) for one in known.everybody(settings)):
        hint = f"for all sessions of a principal: `enc-gateway sessions kill --principal {output.visible(word)}`"
    raise NotUnlocked(f"no live session {output.visible(word)}", hint)


def _ids(word: str, sessions: Iterable[Session]) -> list[str]:
    return [one.id for one in sessions if one.id == word or (len(word) >= _SHORTEST_ID and one.id.startswith(word))]
