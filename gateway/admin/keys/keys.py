"""`enc-gateway key`: edit authorized_keys. The file may also be edited by hand."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Mapping
from typing import IO

import click

from gateway.admin import hosts, options, output
from gateway.admin.keys import approval, editing, invitation, lookup, rows
from gateway.admin.keys.line_options import expires_option, networks, origin_option
from gateway.admin.usage import Group
from gateway.audit import administration
from gateway.base import privileges
from gateway.cluster import places
from gateway.config.schema import Config
from gateway.embedded import layout
from gateway.errors import EncError, Usage
from gateway.identity import authorized_keys, enrolment, invitations, keyfile, lint, timespec
from gateway.identity.authorized_keys import Entry
from gateway.identity.names import Principal
from gateway.session import registry
from gateway.session.registry import Session
from gateway.vault.slots import survey
from gateway.vault.slots.stored import Slot


@click.group(cls=Group)
def key() -> None:
    """Manage keys and invitations (authorized_keys)."""


for _command in (invitation.invite, invitation.invites_, approval.approve):
    key.add_command(_command)


@key.command()
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@click.option("--principal", default="", show_default="its fingerprint", help="Name of the key's principal.")
@expires_option
@origin_option
@options.configured
@options.as_json
def add(file: IO[str], principal: str, expires: str, origin: str, settings: Config, as_json: bool) -> None:
    """Authorize the public key in FILE (-: standard input)."""
    new = enrolment.parse_key(file.read())
    named = Principal.of(principal) if principal else ""
    chosen = invitations.key_options(named, timespec.expiry(expires) if expires else "", networks(origin))
    fingerprint = authorized_keys.fingerprint(new.blob)
    line = authorized_keys.dump(chosen, new.key_type, new.blob, output.visible(new.label))

    def change(lines: list[str]) -> None:
        invitations.require_unlisted(keyfile.entries(lines), new.blob)
        keyfile.append(lines, line)
        administration.record(settings, "key-added", key=fingerprint, principal=named or fingerprint)

    editing.edit(settings, change)
    fields = {"fingerprint": fingerprint, "principal": named or fingerprint, "line": line}
    output.result(fields, f"added {fingerprint}, principal {named or fingerprint}", as_json)


@key.command(name="list")
@options.configured_somehow
@options.as_json
def list_(settings: Config, as_json: bool) -> None:
    """List the keys in authorized_keys."""
    found = [rows.row(entry) for entry in editing.load(settings)]
    prints = output.Fingerprints(str(one["fingerprint"]) for one in found)
    no_keys = "no keys; `enc-gateway key invite NAME` invites somebody, `enc-gateway key add` adds a key"
    words = output.table(
        _HEADER, [_cells(one, prints) for one in found], no_keys, ("FINGERPRINT",), ("EXPIRES", "FROM")
    )
    output.result({"keys": found}, words, as_json)


_HEADER = ("LINE", "FINGERPRINT", "PRINCIPAL", "STATE", "EXPIRES", "FROM", "LABEL")


def _cells(row: dict[str, object], prints: output.Fingerprints) -> tuple[str, ...]:
    fingerprint, principal = str(row["fingerprint"]), str(row["principal"])
    return (
        str(row["line"]),
        prints.short(fingerprint) or "-",
        prints.short(principal) or "-",
        str(row["state"]),
        output.when(str(row["expires"])),
        str(row["from"]) or "-",
        str(row["label"]) or "-",
    )


_LEFT = """
It is still a way to unlock {slots}.
Nobody can log in with it, but whoever has the key, and another key of that user or a copy of the disk, can unlock them.
Whose it is removes it: ssh -t GATEWAY slot rm PROJECT SLOT; a member's, the owner can as well: unshare PROJECT WHO"""
_MEMBER = """
{who} has no key left, and is a member of {names}.
Who has a copy of the disk and {who}'s secrets can open them; the owner ends the membership: unshare PROJECT {who}"""


@key.command()
@click.argument("which", metavar="KEY")
@click.option("--all", "all_keys", is_flag=True, help="Remove all keys and invitations of the principal KEY.")
@options.configured_somehow
@options.as_json
def revoke(which: str, all_keys: bool, settings: Config, as_json: bool) -> None:
    """Remove a key or an invitation, and end its sessions.

    KEY is a fingerprint or the beginning of one, a label, or a principal who has one key: see `key list`. All lines
    with that key are removed. Its sessions lock within 2 seconds, in a cluster within 4.
    """
    removed: dict[str, list[Entry]] = {}

    def change(lines: list[str]) -> None:
        entries = keyfile.entries(lines)
        fingerprints = _of_principal(which, entries) if all_keys else {_only(which, entries)}
        gone = [entry for entry in entries if lookup.fingerprint(entry) in fingerprints]
        for entry in gone:
            removed.setdefault(lookup.fingerprint(entry), []).append(entry)
        for entry in reversed(gone):
            del lines[entry.line - 1]
        for fingerprint, its in removed.items():
            administration.record(
                settings, "key-revoked", required=False, key=fingerprint, principal=rows.principal(its[0])
            )

    live = _live(settings)
    editing.edit(settings, change)
    done = [_end_use(settings, fingerprint, its, live) for fingerprint, its in removed.items()]
    words = "\n".join(words for _, words in done)
    output.result({"keys": [fields for fields, _ in done]} if all_keys else done[0][0], words, as_json)


def _live(settings: Config) -> dict[str, tuple[Session, ...]]:
    """The sessions by the host of a cluster, "" for this one. What cannot be read must not keep a key from going."""
    with contextlib.suppress(EncError, OSError):
        elsewhere: dict[str, tuple[Session, ...]] = {one.name: one.sessions for one in hosts.others(settings)}
        return {"": registry.live(settings.paths_run)} | elsewhere
    return {}


def _only(which: str, entries: tuple[Entry, ...]) -> str:
    """The fingerprint of the only key that `which` names. Raises NoSuchKey, Usage."""
    keys = lookup.of_entries(entries)
    try:
        return lookup.find(which, keys, lookup.nobody(which))
    except Usage as error:
        if any(one.principal == which for one in keys):
            raise Usage(str(error), f"{error.hint}, or remove them all: --all") from None
        raise


def _of_principal(which: str, entries: tuple[Entry, ...]) -> set[str]:
    """The fingerprints of all keys and invitations of a principal. Raises NoSuchKey, Usage."""
    keys = lookup.of_entries(entries)
    principal = lookup.find_principal(which, keys, lookup.nobody(which))
    return {one.fingerprint for one in keys if one.principal == principal}


def _end_use(
    settings: Config, fingerprint: str, removed: list[Entry], live: Mapping[str, Iterable[Session]]
) -> tuple[dict[str, object], str]:
    """Discard what was handed in with a removed key. The result, and its words. `live` is that of `_live`."""
    named = rows.principal(removed[0])
    enrolment.discard(settings.paths_enrolments, fingerprint)
    held = [(host, one.id) for host, sessions in live.items() for one in sessions if one.keys == {fingerprint}]
    here, others = [id_ for host, id_ in held if not host], [f"{id_} on {host}" for host, id_ in held if host]
    words = f"revoked {fingerprint} of {named}" + (f"; ending sessions: {' '.join(here)}" if here else "")
    words += f"\nThe other hosts end its sessions within 4 s: {', '.join(others)}" if others else ""
    lines = [entry.line for entry in removed]
    left = [_slot(found, slot) for found, slot in survey.with_key(settings.paths_vaults, removed[0].blob)]
    if left:
        words += _LEFT.format(slots=", ".join(left))
    shared = _memberships(settings, named)
    if shared:
        words += _MEMBER.format(who=named, names=", ".join(shared))
    fields: dict[str, object] = {"revoked": fingerprint, "principal": named, "lines": lines}
    fields |= {"sessions": [id_ for _, id_ in held], "slots": left, "member_of": shared}
    return fields, words


def _slot(found: survey.Found, slot: Slot) -> str:
    whose = f" of {slot.principal}" if slot.principal not in ("", found.owner) else ""
    return f"{found.name} ({slot.name}{whose})"


def _memberships(settings: Config, named: str) -> list[str]:
    """The projects of others that a principal without a key is a member of; none for who has another key."""
    with privileges.root():
        entries = editing.load(settings)
    if not Principal.is_valid(named) or any(rows.principal(one) == named for one in entries):
        return []
    return survey.of_member(settings.paths_vaults, Principal(named))


@key.command(name="lint")
@options.configured_somehow
@options.as_json
def lint_(settings: Config, as_json: bool) -> None:
    """Check authorized_keys for errors.

    Exits with 0, 1 after a warning, 2 after an error.
    """
    path = places.keys(settings)
    findings = lint.examine(path, time.time(), layout.judged_up_to(settings.paths_authorized_keys))
    fields = [{**finding.as_dict(), "level": finding.level.value} for finding in findings]
    words = [_finding(path, finding) for finding in findings]
    output.result({"findings": fields}, output.visible_lines(words) if words else f"{path}: no problems", as_json)
    sys.exit(lint.exit_code(findings))


def _finding(path: str, finding: lint.Finding) -> str:
    where = f"{path}:{finding.line}" if finding.line else path
    return f"{finding.level.value:5}  {where}: {finding.problem}" + (f"; {finding.fix}" if finding.fix else "")
