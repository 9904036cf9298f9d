"""`enc-gateway key invite` and `key invites`."""

from __future__ import annotations

import os
import pwd
import shlex
import socket
import time
from pathlib import Path

import click

from gateway.admin import options, output
from gateway.admin.keys import editing, lookup, rows
from gateway.audit import administration
from gateway.base import clock, privileges
from gateway.config.schema import Config
from gateway.embedded import layout
from gateway.identity import authorized_keys, enrolment, invitations, keyfile, timespec
from gateway.identity.authorized_keys import Entry
from gateway.identity.enrolment import PendingKey
from gateway.identity.names import Principal

_HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key.pub")
_SHORT = 24
"""Characters of a fingerprint that a command to type has."""


@click.command()
@click.argument("principal")
@click.option("--expires", default="24h", show_default=True, help="When the code expires, as for `key add`.")
@click.option("--as-key", is_flag=True, help="Print an OpenSSH private key, for stock ssh, instead of the code.")
@click.option("--host", default="", show_default="this host's name", help="The gateway's name, as its users reach it.")
@click.option(
    "--host-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    show_default=f"the embedded gateway's, or {_HOST_KEY}, if it exists",
    help="The gateway's public host key, which the code contains.",
)
@options.configured
@options.as_json
def invite(
    principal: str, expires: str, as_key: bool, host: str, host_key: Path | None, settings: Config, as_json: bool
) -> None:
    """Print a one-time code that lets somebody hand in a key.

    The key is for PRINCIPAL. It can log in once you have approved it with `key approve`. The code, or the private key,
    is all of standard output.
    """
    named, until = Principal.of(principal), timespec.expiry(expires)
    _make_directory(settings.paths_enrolments, *privileges.owner(settings.account_directory))
    with privileges.root():  # the key passes through a file in memory, which the account must not read
        secret = invitations.generate_key()
    pinned = host_key or public_host_key(settings)
    printed = secret.private if as_key else invitations.encode(secret, pinned)
    fingerprint = authorized_keys.fingerprint(secret.blob)
    ends = clock.utc(authorized_keys.parse_timespec(until) or 0)

    older: list[str] = []

    def change(lines: list[str]) -> None:
        older.extend(_good_ones(keyfile.entries(lines), named))
        keyfile.append(lines, invitations.authorized_keys_line(named, secret, until))
        administration.record(settings, "invited", invite=fingerprint, principal=named, expires=ends)

    editing.edit(settings, change)
    command = _command(settings, host)
    output.note(f"invitation for {named}, good once; expires {_when(until, ends)} ({fingerprint})")
    for earlier in older:
        output.note(
            f"An earlier invitation for {named} is still good; to end it: enc-gateway key revoke {earlier[:_SHORT]}"
        )
    if not as_key:
        output.note(f"Send {named} this command, and the code that it asks for:\n\n    {command}\n")
    form = {"private_key": secret.private} if as_key else {"code": printed, "command": command}
    output.result({"invite": fingerprint, "principal": named, "expires": ends, **form}, printed.rstrip(), as_json)
    output.note(
        f"\nThen {named} reads out a fingerprint. Compare it and let the key in: enc-gateway key approve {named}"
    )


def _good_ones(entries: tuple[Entry, ...], principal: str) -> list[str]:
    """The fingerprints of the invitations of a principal that can be used now."""
    now = time.time()
    mine = (one for one in entries if one.invitation_for == principal and not one.problem and not one.has_expired(now))
    return [lookup.fingerprint(one) for one in mine]


def _when(until: str, ends: str) -> str:
    """When the code expires. Rounded down, 24 h would be 23 h a second after they were asked for."""
    return output.when(clock.utc((authorized_keys.parse_timespec(until) or 0) + 1)) if output.at_terminal() else ends


def _command(settings: Config, host: str) -> str:
    """What the invited person types on their own machine."""
    embedded = layout.root_of(settings.paths_authorized_keys)
    if embedded and not host:
        return f"enc init --host gateway -F {shlex.quote(str(embedded / layout.SSH_CONFIG))} --invite -"
    account = pwd.getpwuid(privileges.owner(settings.account_directory)[0]).pw_name
    return f"enc init --host {shlex.quote(host or socket.gethostname())} --user {account} --invite -"


def public_host_key(settings: Config) -> Path | None:
    """The public host key that users meet; None if there is none in its usual place."""
    embedded = layout.root_of(settings.paths_authorized_keys)
    path = embedded / f"{layout.HOST_KEY}.pub" if embedded else _HOST_KEY
    return path if path.is_file() else None


def _make_directory(path: str, uid: int, gid: int) -> None:
    """Make the directory for keys that are handed in, readable by the account only."""
    if not os.path.isdir(path):
        with privileges.root():
            os.mkdir(path, 0o700)
            if privileges.invoker() == 0:
                os.chown(path, uid, gid, follow_symlinks=False)


@click.command(name="invites")
@options.configured_somehow
@options.as_json
def invites_(settings: Config, as_json: bool) -> None:
    """List invitations, and keys that wait for approval."""
    handed_in = {key.invite: key for key in enrolment.pending(settings.paths_enrolments)}
    found = []
    for entry in editing.load(settings):
        if entry.invitation_for:
            found.append({**rows.row(entry), **_handed_in(handed_in.get(lookup.fingerprint(entry)))})
    output.result({"invites": found}, _table(found), as_json)


def _handed_in(key: PendingKey | None) -> dict[str, object]:
    if key is None:
        return {"key": "", "key_label": "", "address": "", "time": ""}
    about = {"key": key.fingerprint, "key_label": key.label, "address": key.address, "time": key.time}
    return {"state": "handed in", **about}


def _table(found: list[dict[str, object]]) -> str:
    """At a terminal the key that was handed in is in full, on a line of its own: it is to be compared."""
    prints = output.Fingerprints(str(one["fingerprint"]) for one in found)
    header = ("FOR", "STATE", "UNTIL", "KEY HANDED IN", "LABEL", "FROM", "AT", "INVITATION")
    cells = [
        (
            str(one["principal"]),
            str(one["state"]),
            output.when(str(one["expires"])),
            str(one["key"]) or "-",
            str(one["key_label"]) or "-",
            str(one["address"]) or "-",
            output.when(str(one["time"])),
            prints.short(str(one["fingerprint"])),
        )
        for one in found
    ]
    if not output.at_terminal():
        return output.table(header, cells, "no invitations")
    short = [(*cell[:3], *cell[4:]) for cell in cells]
    words = [output.table((*header[:3], *header[4:]), short, "no invitations")]
    if handed := [cell for cell in cells if cell[3] != "-"]:
        words += ["", "Have these fingerprints read out to you, then `enc-gateway key approve NAME`:"]
        words += [output.visible(f"  {cell[3]}  {cell[0]}") for cell in handed]
    return "\n".join(words)
