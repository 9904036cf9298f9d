"""`enc-gateway key approve`."""

from __future__ import annotations

import os
import sys

import click

from gateway.admin import options, output
from gateway.admin.keys import editing, lookup
from gateway.admin.keys.line_options import expires_option, networks, origin_option
from gateway.admin.keys.lookup import Named
from gateway.audit import administration
from gateway.config.schema import Config
from gateway.errors import NoSuchKey, Usage
from gateway.identity import enrolment, invitations, keyfile, timespec
from gateway.identity.authorized_keys import Entry
from gateway.identity.enrolment import PendingKey


@click.command()
@click.argument("which", metavar="[KEY]", default="")
@click.option("--deny", is_flag=True, help="Refuse the key, and end its invitation.")
@click.option("--yes", is_flag=True, help="Do not ask whether the fingerprint was compared.")
@expires_option
@origin_option
@options.configured
@options.as_json
def approve(which: str, deny: bool, yes: bool, expires: str, origin: str, settings: Config, as_json: bool) -> None:
    """Authorize a key that was handed in, or --deny it.

    KEY is its fingerprint or the beginning of one, or the name that the invitation is for; without it, the only key
    that waits. The person who handed it in was shown the fingerprint: let them read it to you, and compare. At a
    terminal, a KEY that is not the whole fingerprint is asked about.
    """
    new, invited_as = _choose(settings, which)
    until, allowed = timespec.expiry(expires) if expires else "", networks(origin)
    if not (deny or yes or lookup.is_whole(which)):
        if os.isatty(0):
            _require_compared(new, invited_as)
        elif lookup.is_short(which):
            raise Usage("that is too little of a fingerprint to let a key in by", "give all of it")
    changed: list[Entry] = []

    def change(lines: list[str]) -> None:
        if not deny:
            changed.append(invitations.approve(lines, new, until, allowed))
        elif invited := invitations.find(keyfile.entries(lines), new):
            changed.append(invited)
            del lines[invited.line - 1]
        principal = changed[0].invitation_for if changed else ""
        event = "denied" if deny else "approved"
        administration.record(settings, event, key=new.fingerprint, invite=new.invite, principal=principal)

    editing.edit(settings, change)
    enrolment.discard(settings.paths_enrolments, new.invite)
    principal = changed[0].invitation_for if changed else ""
    done = "denied" if deny else "approved"
    about = f"{done} {new.fingerprint} ({_about(new)})"
    words = about if deny else f"{about} for {principal}, line {changed[0].line}"
    fields = {"fingerprint": new.fingerprint, "principal": principal, "approved": not deny}
    output.result(fields, output.visible(words), as_json)


def _choose(settings: Config, which: str) -> tuple[PendingKey, str]:
    """The key that waits and is meant, and the principal of its invitation. Raises NoSuchKey, Usage."""
    waiting = enrolment.pending(settings.paths_enrolments)
    entries = editing.load(settings)
    if not which:
        if len(waiting) == 1:
            return waiting[0], _invited(entries, waiting[0])
        if waiting:
            raise Usage(f"{len(waiting)} keys wait for approval", "name one: `enc-gateway key invites` lists them")
        raise NoSuchKey("no key waits for approval", "`enc-gateway key invites` lists the invitations")
    named = tuple(  # without the label: who hands in a key chooses that, and must not be taken for somebody by it
        Named(fingerprint=key.fingerprint, principal=_invited(entries, key), label="") for key in waiting
    )
    none = NoSuchKey(
        "no key of that name or fingerprint was handed in", "`enc-gateway key invites` lists those that were"
    )
    fingerprint = lookup.find(which, named, none)
    # one may hand in a key with several invitations, and it must become nobody's but whom the sysadmin means
    same = [(key, name.principal) for key, name in zip(waiting, named, strict=True) if key.fingerprint == fingerprint]
    chosen = [one for one in same if one[1] == which] or [one for one in same if one[1]] or same
    principals = sorted({principal for _, principal in chosen})
    if len(principals) > 1:
        raise Usage(
            f"that key was handed in for {' and for '.join(principals)}",
            "ask why; `enc-gateway key approve NAME` lets it in as one of them",
        )
    return chosen[0]


def _invited(entries: tuple[Entry, ...], key: PendingKey) -> str:
    found = invitations.find(entries, key)
    return found.invitation_for if found else ""


def _require_compared(new: PendingKey, principal: str) -> None:
    """Raise Usage unless the sysadmin says that the fingerprint is the one that was read out."""
    output.note(output.visible(f"{new.fingerprint}  {_about(new)}"))
    whom = f" for {output.visible(principal)}" if principal else ""
    click.echo(f"Let it in{whom}? Only if this fingerprint was read out to you. [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Usage("nothing was approved", "`enc-gateway key approve --deny` refuses the key")


def _about(new: PendingKey) -> str:
    return f"{new.label or 'no label'}, handed in from {new.address} {output.when(new.time)}"
