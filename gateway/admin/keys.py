"""`enc-gateway key`: authorized_keys, for those who would rather not edit it by hand. Both ways go together."""

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

_HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key.pub")

_expires = click.option("--expires", default="", help="When it ends: 2027-01-31, 2027-01-31T18:00 or a span like 90d.")
_origin = click.option("--from", "origin", default="", metavar="CIDR", help="Networks it may come from; by commas.")


@click.group()
def key() -> None:
    """Who gets in: the lines of authorized_keys."""


@key.command()
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@click.option("--principal", default="", help="Whose key it is; by default the key is a principal of its own.")
@_expires
@_origin
@options.configured
@options.as_json
def add(file: IO[str], principal: str, expires: str, origin: str, settings: Config, as_json: bool) -> None:
    """Authorize the public key in FILE (- for standard input)."""
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
    output.result(fields, f"added {fingerprint} as {named or 'a principal of its own'}", as_json)


def _networks(text: str) -> str:
    """CIDR networks by commas, as sshd takes them. Raises Usage."""
    try:
        return ",".join(str(ipaddress.ip_network(one.strip())) for one in text.split(",")) if text else ""
    except ValueError as error:
        raise Usage(f"--from takes networks such as 10.0.0.0/8: {error}") from error


@key.command(name="list")
@options.configured
@options.as_json
def list_(settings: Config, as_json: bool) -> None:
    """Show every key that stands in authorized_keys."""
    rows = [_row(entry) for entry in authorized_keys.load(settings.paths_authorized_keys)]
    words = [tuple(str(row[name] or "-") for name in _COLUMNS) for row in rows]
    header = tuple(name.upper() for name in _COLUMNS)
    output.result({"keys": rows}, output.table(header, words, "no keys; `enc-gateway key add` adds one"), as_json)


_COLUMNS = ("line", "fingerprint", "principal", "state", "expires", "from", "label")


def _row(entry: Entry) -> dict[str, object]:
    fingerprint = _print(entry)
    return {
        "line": entry.line,
        "fingerprint": fingerprint,
        "principal": _whose(entry),
        "state": _state(entry),
        "type": entry.key_type,
        "expires": "" if entry.expires == NEVER else clock.utc(entry.expires),
        "from": entry.option_value("from"),
        "label": output.visible(entry.label),
    }


def _whose(entry: Entry) -> str:
    return entry.invitation_for or entry.principal or _print(entry)


def _state(entry: Entry) -> str:
    if entry.problem or not authorized_keys.is_key(entry.key_type, entry.blob):
        return "refused"
    if time.time() > entry.expires:
        return "expired"
    return "invitation" if entry.invitation_for else "good"


def _print(entry: Entry) -> str:
    try:
        return authorized_keys.fingerprint(entry.blob)
    except ValueError:
        return ""


@key.command()
@click.argument("fingerprint")
@options.configured
@options.as_json
def revoke(fingerprint: str, settings: Config, as_json: bool) -> None:
    """Remove every line with the key of this FINGERPRINT. Its sessions lock within 2 seconds; an invitation ends."""
    removed: list[Entry] = []

    def change(lines: list[str]) -> None:
        removed.extend(entry for entry in keyfile.entries(lines) if _print(entry) == fingerprint)
        for entry in reversed(removed):
            del lines[entry.line - 1]
        if not removed:
            raise NoSuchKey("no line of authorized_keys has that key", "`enc-gateway key list` lists them")
        administration.record(settings, "key-revoked", key=fingerprint, principal=_whose(removed[0]))

    with privileges.root():
        keyfile.edit(settings.paths_authorized_keys, change)
    named = _whose(removed[0])
    enrolment.discard(settings.paths_enrolments, fingerprint)
    ending = [one.id for one in registry.live(settings.paths_run) if one.fingerprint == fingerprint]
    words = f"revoked {fingerprint} of {named}" + (f"; these sessions end now: {' '.join(ending)}" if ending else "")
    lines = [entry.line for entry in removed]
    output.result({"revoked": fingerprint, "principal": named, "lines": lines, "sessions": ending}, words, as_json)


@key.command(name="lint")
@options.configured
@options.as_json
def lint_(settings: Config, as_json: bool) -> None:
    """Check authorized_keys. Exits with 0, 1 for warnings, 2 for errors."""
    path = settings.paths_authorized_keys
    findings = lint.examine(path, time.time())
    rows = [{**finding.as_dict(), "level": finding.level.value} for finding in findings]
    words = [_finding(path, finding) for finding in findings]
    output.result({"findings": rows}, output.visible_lines(words) if words else f"{path}: nothing to say", as_json)
    sys.exit(lint.exit_code(findings))


def _finding(path: str, finding: lint.Finding) -> str:
    where = f"{path}:{finding.line}" if finding.line else path
    return f"{finding.level.value:5}  {where}: {finding.problem}" + (f"; {finding.fix}" if finding.fix else "")


@key.command()
@click.argument("principal")
@click.option("--expires", default="24h", show_default=True, help="When the code ends, as for `key add`.")
@click.option("--as-key", is_flag=True, help="Print an OpenSSH private key instead of the code, for a stock ssh.")
@click.option(
    "--host-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"The gateway's public host key, to be in the code; {_HOST_KEY} if that is there.",
)
@options.configured
@options.as_json
def invite(principal: str, expires: str, as_key: bool, host_key: Path | None, settings: Config, as_json: bool) -> None:
    """Print a one-time code with which somebody can hand in a key to be approved for PRINCIPAL."""
    named, until = Principal.of(principal), timespec.expiry(expires)
    _make_directory(settings.paths_enrolments, *privileges.owner(settings.paths_vaults))
    with privileges.root():  # the key passes through a file in memory, which is not for the account
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
    click.echo(f"invitation {fingerprint} for {named}, good once until {ends}:", err=True)
    form = {"private_key": secret.private} if as_key else {"code": printed}
    output.result({"invite": fingerprint, "principal": named, "expires": ends, **form}, printed.rstrip(), as_json)


def _make_directory(path: str, uid: int, gid: int) -> None:
    """Where keys are handed in: the account's alone."""
    if not os.path.isdir(path):
        with privileges.root():
            os.mkdir(path, 0o700)
            if privileges.invoker() == 0:
                os.chown(path, uid, gid, follow_symlinks=False)


@key.command(name="invites")
@options.configured
@options.as_json
def invites_(settings: Config, as_json: bool) -> None:
    """Show the invitations, and the keys that were handed in by them and wait for `key approve`."""
    handed_in = {key.invite: key for key in _pending(settings)}
    rows = []
    for entry in authorized_keys.load(settings.paths_authorized_keys):
        if entry.invitation_for:
            rows.append({**_row(entry), **_handed_in(handed_in.get(_print(entry)))})
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
@click.option("--deny", is_flag=True, help="Refuse it, and end its invitation.")
@_expires
@_origin
@options.configured
@options.as_json
def approve(fingerprint: str, deny: bool, expires: str, origin: str, settings: Config, as_json: bool) -> None:
    """Let in the key of this FINGERPRINT that was handed in by an invitation.

    Whoever handed it in was told the same fingerprint: have them read it to you.
    """
    found = [one for one in _pending(settings) if one.fingerprint == fingerprint]
    if not found:
        raise NoSuchKey("no key with that fingerprint was handed in", "`enc-gateway key invites` lists them")
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
