"""`enc-gateway` alone: how the gateway is, from what is cheap to look at, and the commands that matter."""

from __future__ import annotations

import os
import socket
import time
from importlib.metadata import version
from pathlib import Path

import click

from gateway.admin import hosts, options, output
from gateway.admin.hosts import Host
from gateway.base import clock, json, privileges, text
from gateway.base.records import Record
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import EncError, is_storage_lost
from gateway.host import sshd
from gateway.identity import authorized_keys, enrolment, invitations
from gateway.identity.authorized_keys import Entry
from gateway.identity.enrolment import PendingKey
from gateway.session import maintenance, registry


class Numbers(Record):
    """What the account's files say. `waiting` names the keys that wait for approval; `audit_newest` is RFC 3339, "" for
    an empty log; sizes are in bytes. `hosts` has those of a cluster, with their states; sessions and unlocked projects
    are those of all of them.
    """

    sessions: int
    unlocked: int
    principals: int
    keys: int
    waiting: tuple[str, ...]
    audit_bytes: int
    audit_newest: str
    free_bytes: int
    hosts: tuple[Host, ...]


class Standing(Record):
    """`state` is ready, paused, misconfigured, not-set-up or unreadable; `why` says more."""

    state: str
    why: str
    numbers: Numbers | None


def collect(path: Path) -> Standing:
    """How the gateway of the configuration file `path` is. Raises nothing that its state could."""
    settings, error = loader.load_usable(str(path))
    if path == options.CONFIG and not os.path.exists(sshd.DROP_IN):
        return Standing(state="not-set-up", why=f"{sshd.DROP_IN} is missing: nobody can log in", numbers=None)
    try:
        ids = privileges.owner(settings.account_directory)
    except FileNotFoundError:
        return Standing(state="not-set-up", why=f"there is no {settings.account_directory}", numbers=None)
    except OSError as problem:
        return _unreadable(problem, settings.account_directory)
    try:
        with privileges.account(*ids):
            numbers = _numbers(settings)
    except (EncError, OSError) as problem:
        return _unreadable(problem, settings.paths_vaults)
    if error:
        return Standing(state="misconfigured", why=str(error), numbers=numbers)
    message = maintenance.message(settings.paths_pause)
    if message is not None:
        return Standing(state="paused", why=message, numbers=numbers)
    return Standing(state="ready", why="", numbers=numbers)


def _unreadable(problem: EncError | OSError, path: str) -> Standing:
    """`path` is what was looked at, should `problem` not name it."""
    if isinstance(problem, EncError):
        return Standing(state="unreadable", why=problem.line(), numbers=None)
    why = f"{problem.filename or path}: {problem.strerror}"
    if is_storage_lost(problem):
        why += "; its file system does not work on this host now"
    return Standing(state="unreadable", why=why, numbers=None)


def _numbers(settings: Config) -> Numbers:
    found_hosts = hosts.all_of(settings)
    live = [one for host in found_hosts for one in host.sessions] or registry.live(settings.paths_run)
    entries = authorized_keys.load(settings.paths_authorized_keys)
    now = time.time()
    good = [one for one in entries if not (one.problem or one.invitation_for or one.has_expired(now))]
    room = os.statvfs(settings.paths_vaults)
    size, newest = 0, ""
    if os.path.exists(settings.paths_audit):
        found = os.stat(settings.paths_audit)
        size, newest = found.st_size, clock.utc(found.st_mtime)
    return Numbers(
        sessions=len(live),
        unlocked=sum(len(one.views) for one in live),
        principals=len({one.principal or one.blob for one in good}),
        keys=len(good),
        waiting=tuple(_named(one, entries) for one in enrolment.pending(settings.paths_enrolments)),
        audit_bytes=size,
        audit_newest=newest,
        free_bytes=room.f_bavail * room.f_frsize,
        hosts=found_hosts,
    )


def _named(key: PendingKey, entries: tuple[Entry, ...]) -> str:
    invited = invitations.find(entries, key)
    return invited.invitation_for if invited else key.fingerprint


_STATES = {
    "ready": "ready",
    "paused": "PAUSED: nothing new begins; `enc-gateway resume` ends that",
    "misconfigured": "MISCONFIGURED: nobody can log in",
    "not-set-up": "not set up",
    "unreadable": "cannot be looked at",
}

_COMMANDS = {
    "not-set-up": (
        ("sudo enc-gateway setup --dry-run", "list what setup would change"),
        ("sudo enc-gateway setup", "make this host a gateway"),
        ("enc-gateway embedded DIRECTORY", "try one in a directory, without installing"),
    ),
    "unreadable": (("sudo enc-gateway doctor", "say what is wrong"),),
    "misconfigured": (("enc-gateway doctor", "say what is wrong, and how to fix it"),),
}
_USUAL = (
    ("enc-gateway sessions", "who is in, and what is unlocked"),
    ("enc-gateway key invite NAME", "let somebody in"),
    ("enc-gateway key revoke WHO", "remove a key and end its sessions"),
    ("enc-gateway audit show -n 20", "what happened last"),
    ("enc-gateway doctor", "check everything"),
)


def show(path: Path, as_json: bool) -> None:
    """Print how the gateway is."""
    found = collect(path)
    if as_json:
        numbers = _fields(found.numbers) if found.numbers else {}
        click.echo(json.dumps({"state": found.state, "why": found.why, **numbers}))
        return
    config = "" if path == options.CONFIG else f" ({path})"
    lines = [f"ENC gateway {version('enc-gateway')} on {socket.gethostname()}{config}: {_STATES[found.state]}"]
    if found.why:
        lines.append(f"  {found.why}")
    lines += _words(found.numbers) if found.numbers else []
    commands = _COMMANDS.get(found.state, _USUAL)
    if found.state == "unreadable" and privileges.invoker() != 0:
        commands = (("sudo enc-gateway", "look as root"), *commands)
    if found.numbers and found.numbers.waiting:
        commands = (("enc-gateway key approve", "let in the key that waits"), *commands)
    width = max(len(words) for words, _ in commands)
    lines += ["", *(f"  {words:{width}}  {what}" for words, what in commands), ""]
    lines.append("`enc-gateway --help` lists all commands.")
    click.echo(output.visible_lines(lines))


def _fields(numbers: Numbers) -> dict[str, object]:
    """For programs."""
    of_hosts = [one.fields() for one in numbers.hosts]
    values = {name: value for name, value in numbers.as_dict().items() if name != "hosts"}
    return {**values, "waiting": list(numbers.waiting), **({"hosts": of_hosts} if of_hosts else {})}


def _words(numbers: Numbers) -> list[str]:
    people = text.counted(numbers.principals, "principal")
    waiting = f"; waiting for approval: {', '.join(numbers.waiting)}" if numbers.waiting else ""
    newest = f", newest record {output.when(numbers.audit_newest)}" if numbers.audit_newest else ""
    cluster = ", ".join(f"{one.name}{' (this host)' if one.is_this else ''} {one.state}" for one in numbers.hosts)
    return [
        *([f"  hosts     {cluster}"] if cluster else []),
        f"  sessions  {text.counted(numbers.sessions, 'session')}, "
        f"{text.counted(numbers.unlocked, 'project')} unlocked",
        f"  keys      {text.counted(numbers.keys, 'key')} of {people}{waiting}",
        f"  audit     {text.human_size(numbers.audit_bytes)}{newest}",
        f"  disk      {text.human_size(numbers.free_bytes)} free for projects",
    ]
