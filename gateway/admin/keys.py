"""`enc-gateway key`: edit authorized_keys and handle invitations. The file may also be edited by hand."""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from pathlib import Path
from typing import IO

import click

from gateway.admin import options, output
from gateway.audit import administration
from gateway.base import clock, privileges
from gateway.config.schema import Config
from gateway.errors import NoSuchKey, Usage
from gateway.identity import authorized_keys, enrolment, invitations, keyfile, lint, timespec
from gateway.identity.authorized_keys import NEVER, Entry
from gateway.identity.enrolment import PendingKey
from gateway.identity.names import Principal
from gateway.session import registry
from gateway.vault.slots import survey

_HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key.pub")

_expires = click.option(
    "--expires", default="", help="When the key expires: 2027-01-31, 2027-01-31T18:00, or 90d from now."
)
_origin = click.option(
    "--from", "origin", default="", metavar="CIDR", help="Networks that the key may log in from, separated by commas."
)


@click.group()
def key() -> None:
    """Manage keys and invitations (authorized_keys)."""


@key.command()
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@click.option("--principal", default="", show_default="its fingerprint", help="Name of the key's principal.")
@_expires
@_origin
@options.configured
@options.as_json
def add(file: IO[str], principal: str, expires: str, origin: str, settings: Config, as_json: bool) -> None:
    """Authorize the public key in FILE (-: standard input)."""
    new = enrolment.parse_key(file.read())
    named = Principal.of(principal) if principal else ""
    chosen = invitations.key_options(named, timespec.expiry(expires) if expires else "", _networks(origin))
    fingerprint = authorized_keys.fingerprint(new.blob)
    line = authorized_keys.dump(chosen, new.key_type, new.blob, output.visible(new.label))

    def change(lines: list[str]) -> None:
        invitations.require_unlisted(keyfile.entries(lines), new.blob)
        keyfile.append(lines, line)
        administration.record(settings, "key-added", key=fingerprint, principal=named or fingerprint)

    with privileges.root():
        keyfile.edit(settings.paths_authorized_keys, change)
    fields = {"fingerprint": fingerprint, "principal": named or fingerprint, "line": line}
    output.result(fields, f"added {fingerprint}, principal {named or fingerprint}", as_json)


def _networks(text: str) -> str:
    """CIDR networks, separated by commas, in the form that sshd reads. Raises Usage."""
    try:
        return ",".join(str(ipaddress.ip_network(one.strip())) for one in text.split(",")) if text else ""
    except ValueError as error:
        raise Usage(f"--from takes networks such as 10.0.0.0/8: {error}") from error


@key.command(name="list")
@options.configured
@options.as_json
def list_(settings: Config, as_json: bool) -> None:
    """List the keys in authorized_keys."""
    rows = [_row(entry) for entry in authorized_keys.load(settings.paths_authorized_keys)]
    words = [tuple(str(row[name] or "-") for name in _COLUMNS) for row in rows]
    header = tuple(name.upper() for name in _COLUMNS)
    output.result(
        {"keys": rows},
        output.table(
            header, words, "no keys; `enc-gateway key invite NAME` invites somebody, `enc-gateway key add` adds a key"
        ),
        as_json,
    )


_COLUMNS = ("line", "fingerprint", "principal", "state", "expires", "from", "label")


def _row(entry: Entry) -> dict[str, object]:
    fingerprint = _fingerprint(entry)
    return {
        "line": entry.line,
        "fingerprint": fingerprint,
        "principal": _principal(entry),
        "state": _state(entry),
        "type": entry.key_type,
        "expires": "" if entry.expires == NEVER else clock.utc(entry.expires),
        "from": entry.option_value("from"),
        "label": output.visible(entry.label),
    }


def _principal(entry: Entry) -> str:
    return entry.invitation_for or entry.principal or _fingerprint(entry)


def _state(entry: Entry) -> str:
    if entry.problem or not authorized_keys.is_key(entry.key_type, entry.blob):
        return "refused"
    if entry.has_expired(time.time()):
        return "expired"
    return "invitation" if entry.invitation_for else "good"


def _fingerprint(entry: Entry) -> str:
    try:
        return authorized_keys.fingerprint(entry.blob)
    except ValueError:
        return ""


_LEFT = """
It is still a way to unlock {slots}.
Nobody can log in with it, but whoever has the key, and another key of that user or a copy of the disk, can unlock them.
Their owner removes it: ssh -t GATEWAY slot rm PROJECT SLOT"""


@key.command()
@click.argument("fingerprint")
@options.configured
@options.as_json
def revoke(fingerprint: str, settings: Config, as_json: bool) -> None:
    """Remove a key or an invitation, and end its sessions.

    FINGERPRINT is as `key list` shows it. All lines with that key are removed. Its sessions lock within 2 seconds.
    """
    removed: list[Entry] = []

    def change(lines: list[str]) -> None:
        removed.extend(entry for entry in keyfile.entries(lines) if _fingerprint(entry) == fingerprint)
        for entry in reversed(removed):
            del lines[entry.line - 1]
        if not removed:
            raise NoSuchKey("no line of authorized_keys has that key", "`enc-gateway key list` lists the keys")
        administration.record(settings, "key-revoked", key=fingerprint, principal=_principal(removed[0]))

    with privileges.root():
        keyfile.edit(settings.paths_authorized_keys, change)
    named = _principal(removed[0])
    enrolment.discard(settings.paths_enrolments, fingerprint)
    ending = [one.id for one in registry.live(settings.paths_run) if one.fingerprint == fingerprint]
    words = f"revoked {fingerprint} of {named}" + (f"; ending sessions: {' '.join(ending)}" if ending else "")
    lines = [entry.line for entry in removed]
    left = [f"{found.name} ({slot.name})" for found, slot in survey.with_key(settings.paths_vaults, removed[0].blob)]
    if left:
        words += _LEFT.format(slots=", ".join(left))
    fields = {"revoked": fingerprint, "principal": named, "lines": lines, "sessions": ending, "slots": left}
    output.result(fields, words, as_json)


@key.command(name="lint")
@options.configured
@options.as_json
def lint_(settings: Config, as_json: bool) -> None:
    """Check authorized_keys for errors.

    Exits with 0, 1 after a warning, 2 after an error.
    """
    path = settings.paths_authorized_keys
    findings = lint.examine(path, time.time())
    rows = [{**finding.as_dict(), "level": finding.level.value} for finding in findings]
    words = [_finding(path, finding) for finding in findings]
    output.result({"findings": rows}, output.visible_lines(words) if words else f"{path}: no problems found", as_json)
    sys.exit(lint.exit_code(findings))


def _finding(path: str, finding: lint.Finding) -> str:
    where = f"{path}:{finding.line}" if finding.line else path
    return f"{finding.level.value:5}  {where}: {finding.problem}" + (f"; {finding.fix}" if finding.fix else "")


@key.command()
@click.argument("principal")
@click.option("--expires", default="24h", show_default=True, help="When the code expires, as for `key add`.")
@click.option("--as-key", is_flag=True, help="Print an OpenSSH private key, for stock ssh, instead of the code.")
@click.option(
    "--host-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    show_default=f"{_HOST_KEY}, if it exists",
    help="The gateway's public host key, which the code contains.",
)
@options.configured
@options.as_json
def invite(principal: str, expires: str, as_key: bool, host_key: Path | None, settings: Config, as_json: bool) -> None:
    """Print a one-time code that lets somebody hand in a key.

    The key is for PRINCIPAL. It can log in once you have approved it with `key approve`.
    """
    named, until = Principal.of(principal), timespec.expiry(expires)
    _make_directory(settings.paths_enrolments, *privileges.owner(settings.paths_vaults))
    with privileges.root():  # the key passes through a file in memory, which the account must not read
        secret = invitations.generate_key()
    pinned = host_key or (_HOST_KEY if _HOST_KEY.is_file() else None)
    printed = secret.private if as_key else invitations.encode(secret, pinned)
    fingerprint = authorized_keys.fingerprint(secret.blob)
    ends = clock.utc(authorized_keys.parse_timespec(until) or 0)

    def change(lines: list[str]) -> None:
        keyfile.append(lines, invitations.authorized_keys_line(named, secret, until))
        administration.record(settings, "invited", invite=fingerprint, principal=named, expires=ends)

    with privileges.root():
        keyfile.edit(settings.paths_authorized_keys, change)
    click.echo(f"invitation {fingerprint} for {named}, valid once until {ends}:", err=True)
    form = {"private_key": secret.private} if as_key else {"code": printed}
    output.result({"invite": fingerprint, "principal": named, "expires": ends, **form}, printed.rstrip(), as_json)


def _make_directory(path: str, uid: int, gid: int) -> None:
    """Make the directory for keys that are handed in, readable by the account only."""
    if not os.path.isdir(path):
        with privileges.root():
            os.mkdir(path, 0o700)
            if privileges.invoker() == 0:
                os.chown(path, uid, gid, follow_symlinks=False)


@key.command(name="invites")
@options.configured
@options.as_json
def invites_(settings: Config, as_json: bool) -> None:
    """List invitations, and keys that wait for approval."""
    handed_in = {key.invite: key for key in _pending(settings)}
    rows = []
    for entry in authorized_keys.load(settings.paths_authorized_keys):
        if entry.invitation_for:
            rows.append({**_row(entry), **_handed_in(handed_in.get(_fingerprint(entry)))})
    words = [tuple(str(row[name] or "-") for name in _INVITE_COLUMNS) for row in rows]
    header = ("INVITATION", "FOR", "STATE", "UNTIL", "KEY HANDED IN", "LABEL", "FROM", "AT")
    output.result({"invites": rows}, output.table(header, words, "no invitations"), as_json)


_INVITE_COLUMNS = ("fingerprint", "principal", "state", "expires", "key", "key_label", "address", "time")


def _handed_in(key: PendingKey | None) -> dict[str, object]:
    if key is None:
        return {"key": "", "key_label": "", "address": "", "time": ""}
    about = {"key": key.fingerprint, "key_label": key.label, "address": key.address, "time": key.time}
    return {"state": "handed in", **about}


def _pending(settings: Config) -> tuple[PendingKey, ...]:
    return enrolment.pending(settings.paths_enrolments)


@key.command()
@click.argument("fingerprint")
@click.option("--deny", is_flag=True, help="Refuse the key, and end its invitation.")
@_expires
@_origin
@options.configured
@options.as_json
def approve(fingerprint: str, deny: bool, expires: str, origin: str, settings: Config, as_json: bool) -> None:
    """Authorize a key that was handed in, or --deny it.

    The person who handed it in was shown its FINGERPRINT: let them read it to you, and compare.
    """
    found = [one for one in _pending(settings) if one.fingerprint == fingerprint]
    if not found:
        raise NoSuchKey("no key with that fingerprint was handed in", "`enc-gateway key invites` lists those that were")
    new, until, networks = found[0], timespec.expiry(expires) if expires else "", _networks(origin)
    changed: list[Entry] = []

    def change(lines: list[str]) -> None:
        if not deny:
            changed.append(invitations.approve(lines, new, until, networks))
        elif invited := invitations.find(keyfile.entries(lines), new):
            changed.append(invited)
            del lines[invited.line - 1]
        principal = changed[0].invitation_for if changed else ""
        event = "denied" if deny else "approved"
        administration.record(settings, event, key=fingerprint, invite=new.invite, principal=principal)

    with privileges.root():
        keyfile.edit(settings.paths_authorized_keys, change)
    enrolment.discard(settings.paths_enrolments, new.invite)
    principal = changed[0].invitation_for if changed else ""
    done = "denied" if deny else "approved"
    about = f"{done} {fingerprint} ({new.label or 'no label'}, handed in from {new.address} at {new.time})"
    words = about if deny else f"{about} for {principal}, line {changed[0].line}"
    output.result({"fingerprint": fingerprint, "principal": principal, "approved": not deny}, words, as_json)
