"""`enc-gateway host`: the hosts of a cluster."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gateway.admin import hosts, options, output
from gateway.admin.keys import invitation
from gateway.admin.usage import Group
from gateway.audit import administration
from gateway.base import privileges, text
from gateway.cluster import ceph, follower, mirror, remote
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Busy, Usage

_WAIT_SECONDS = 1.0


@click.group(cls=Group)
def host() -> None:
    """Look after the hosts of a cluster."""


@host.command(name="list")
@options.configured_somehow
@options.as_json
def list_(settings: Config, as_json: bool) -> None:
    """List the hosts of the cluster.

    STATE is up, drained, evicted, or silent for how long: that host has told nothing, or this one could not hear it.
    In the first half minute after a host's death it may still be up.
    """
    hosts.require_cluster(settings)
    found = hosts.all_of(settings)
    rows = [
        (
            one.name + (" (this host)" if one.is_this else ""),
            one.address,
            one.state,
            str(len(one.sessions)),
            str(one.unlocked),
            one.ceph or "-",
        )
        for one in found
    ]
    header = ("HOST", "ADDRESS", "STATE", "SESSIONS", "UNLOCKED", "CEPH CLIENT")
    words = output.table(header, rows, "no hosts", whole=("ADDRESS",))
    output.result({"hosts": [one.fields() for one in found]}, words, as_json)
    if not all(one.is_followed for one in found):
        output.note(
            "enc-gateway: this host has not followed the others since it started, so what it shows is none or old; see"
            " that `enc-gateway host follow` runs (enc-follow.service)"
        )


@host.command()
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let sessions begin there again.")
@click.option("--wait", "waits", is_flag=True, help="Return when no session is left there.")
@options.configured
@options.as_json
def drain(name: str, undo: bool, waits: bool, settings: Config, as_json: bool) -> None:
    """Refuse what is new on the host NAME, and let its sessions end.

    Nobody can open a session or unlock a project there until --undo; live sessions go on. It outlives a reboot.
    """
    if undo and waits:
        raise Usage("--undo lets sessions begin, so there is nothing to wait for")
    hosts.require_cluster(settings)
    chosen = hosts.named(settings, name)
    with privileges.root():
        was = remote.set_drained(settings, chosen.name, not undo)
    if was == undo:
        administration.record(settings, "host-undrained" if undo else "host-drained", required=False, name=chosen.name)
    done = f"{name} takes what is new" if undo else f"{name} is drained"
    left = len(chosen.sessions)
    try:
        while waits and (left := _left(settings, name)):
            time.sleep(_WAIT_SECONDS)
    except KeyboardInterrupt:
        done += "; not waited for its end"
    fields = {"host": name, "drained": not undo, "was_drained": was, "sessions": left}
    output.result(fields, done if undo else f"{done}; {text.counted(left, 'session')} left", as_json)


def _left(settings: Config, name: str) -> int:
    """How many sessions that host has. Raises Busy when it is silent: it tells nothing of them any more."""
    now = hosts.named(settings, name)
    if now.silent_for and not (now.is_this or now.is_evicted):
        raise Busy(f"{name} has not answered for {now.silent_for} s", f"`enc-gateway host evict {name}` puts it out")
    return len(now.sessions)


@host.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also evict a host that answers.")
@options.configured
@options.as_json
def evict(name: str, force: bool, settings: Config, as_json: bool) -> None:
    """Have Ceph put the host NAME out, and free its projects.

    For a host that is dead or does not answer: what it has not written is lost, and it can write nothing any more until
    its file system is mounted anew. In the first half minute after its death the host may still count as up: then add
    --force, if you know that it is dead. Without this, Ceph does it by itself after session_autoclose. It needs `ceph`
    and a key that may do it, as client.admin's.
    """
    hosts.require_cluster(settings)
    chosen = hosts.named(settings, name)
    if chosen.is_this:
        raise Usage("that is this host", "run it on another one")
    if not (chosen.silent_for or force):
        raise Busy(
            f"{name} answers, or did until some seconds ago",
            "`enc-gateway host drain` lets its sessions end; --force evicts it all the same: add it if you know that it"
            " is dead",
        )
    hosts.require_own_client(settings, chosen)
    with privileges.root():
        done, free = ceph.evict(chosen.ceph), 0
        for seen in mirror.hosts(settings):
            if seen.record.host == chosen.name:
                free = sum(len(one.views) for one in seen.record.sessions)
                remote.forget_sessions(settings, seen.record)
    address = done.client.address if done.client else ""
    blocked = bool(done.blocked)
    administration.record(
        settings, "host-evicted", required=False, name=chosen.name, client=chosen.ceph, blocked=blocked
    )
    fields = {"host": name, "client": chosen.ceph, "was_connected": done.client is not None, "address": address}
    output.result({**fields, "blocked": list(done.blocked)}, _told(chosen, done, free), as_json)


def _told(evicted: hosts.Host, done: ceph.Eviction, projects: int) -> str:
    name, client = evicted.name, evicted.ceph
    if done.client is None:
        return f"{name}: {client} is not connected any more; Ceph has put it out already, or it left"
    words = f"evicted {name}: {client} ({done.client.entity}, {done.client.address})"
    for line in done.blocked:
        words += f"\nThe OSDs block {line}."
    free = text.counted(projects, "project")
    return f"{words}\nIts locks are free: {free} can be unlocked on the other hosts."


@host.command()
@options.config_path
def follow(settings: Path) -> None:
    """Keep this host's copy of what the hosts share, until SIGTERM.

    Each second it copies authorized_keys, and what the hosts say of themselves. Each minute, and
    for a new principal at once, it sets limits.disk as the quota on CephFS. A systemd unit runs it; without
    systemd, have it run on every host of a cluster, as root.
    """
    config = loader.load(str(settings))
    follower.run(str(settings), config, invitation.public_host_key(config))
