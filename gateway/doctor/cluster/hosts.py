"""Check that this host follows the others, that it has not been put out, and what has to be the same on all, or not."""

from __future__ import annotations

import errno
import os
import time

from gateway.base import process
from gateway.cluster import mirror, places
from gateway.doctor.cluster import lost
from gateway.doctor.finding import Finding, Target, fail, ok, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cluster.host_record import HostRecord, Seen
    from gateway.config.schema import Config

SUBJECT = "cluster"
_SECONDS = 5.0
"""For a look at a file system that may not answer."""
_TWIN_SECONDS = 60.0
"""Since a host of our name was seen. Both write every 5 s."""


def check(target: Target) -> Iterator[Finding]:
    config = target.config
    if not places.is_cluster(config):
        return
    yield _copy(config)
    yield from _store(config)
    yield from twin(config)
    yield from clocks(mirror.hosts(config))
    told = {seen.record.host: seen.record for seen in mirror.everyone(config)}
    own = told.pop(config.cluster_host, None)  # type: ignore[call-overload]
    if own:
        yield from compare(own, tuple(told.values()))


def _copy(config: Config) -> Finding:
    age = mirror.age(places.copy(config))
    if age > config.cluster_stale:
        old = f"is {age:.0f} s old" if age < 1e9 else "was never made"
        state = f"this host's copy of authorized_keys {old}: nothing begins here, and sessions end"
        return fail(SUBJECT, state, "see that `enc-gateway host follow` runs and what its log says")
    return ok(SUBJECT, f"{config.cluster_host} follows; its copy of authorized_keys is {max(0.0, age):.0f} s old")


def _store(config: Config) -> Iterator[Finding]:
    """Whether this host can still use the store, and has on it what all share."""
    said = process.ask(lambda: _look(config), _SECONDS)
    if said is None:
        yield fail(SUBJECT, f"{config.cluster_directory} does not answer", "see that Ceph does: `ceph -s`")
        return
    number, *elsewhere = said.decode().split("\n")
    if int(number) in lost.MOUNT_ANEW:
        yield lost.finding(SUBJECT, config, config.cluster_directory, int(number))
    elif int(number):
        state = f"{config.cluster_directory}: {os.strerror(int(number))}"
        yield fail(SUBJECT, state, "see that it is mounted and belongs to root")
    for name in filter(None, elsewhere):
        yield fail(SUBJECT, f"{name} is not on the shared disk: it counts for this host alone", "move it there")


def _look(config: Config) -> bytes:
    """The number of an error or 0, and the keys whose places are on another disk; a line each."""
    try:
        os.listdir(config.cluster_directory)
        disk = os.stat(config.cluster_directory).st_dev
    except OSError as error:
        return b"%d" % (error.errno or errno.EIO)
    shared = {
        "paths.vaults": config.paths_vaults,
        "paths.pause": os.path.dirname(config.paths_pause),
        "paths.enrolments": config.paths_enrolments,
    }
    return "\n".join(["0", *(name for name, path in shared.items() if not _is_on(disk, path))]).encode()


def _is_on(disk: int, path: str) -> bool:
    """Of a directory that is not there yet, the one above tells."""
    while path != "/" and not os.path.exists(path):
        path = os.path.dirname(path)
    return os.stat(path).st_dev == disk


def twin(config: Config) -> Iterator[Finding]:
    """By what `host follow` has seen."""
    try:
        since = time.time() - os.stat(os.path.join(places.copy(config), places.TWIN)).st_mtime
    except FileNotFoundError:
        return
    if since < _TWIN_SECONDS:
        state = f"another host is called {config.cluster_host} as well: drain, evict and the audit take the two for one"
        yield fail(SUBJECT, state, "give one of them another name: setup --remove, then setup --cluster")


def clocks(others: tuple[Seen, ...]) -> Iterator[Finding]:
    """By them audit records are put in order, and keys expire."""
    for other in others:
        if ahead := mirror.clock_ahead(other):
            state = f"the clock of {other.record.host} is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
            yield warn(SUBJECT, state, "synchronize both: apt install systemd-timesyncd, or chrony")


def compare(own: HostRecord, others: tuple[HostRecord, ...]) -> Iterator[Finding]:
    """What is wrong between this host and each of the others. What a host does not tell is not compared."""
    for other in others:
        if own.ceph_entity and own.ceph_entity == other.ceph_entity:
            state = (
                f"{own.host} and {other.host} use one cephx key, client.{own.ceph_entity}: putting one out can hit both"
            )
            yield fail(SUBJECT, state, "give each host a key of its own: `ceph fs authorize`")
        if own.host_key and other.host_key and own.host_key != other.host_key:
            state = f"the SSH host keys of {own.host} and {other.host} differ: clients refuse to be sent there"
            yield fail(SUBJECT, state, f"copy the host key of one to the other ({own.host_key}, {other.host_key})")
