"""Check that vaults which several hosts can reach are on CephFS, and that it puts a lost host out soon and for good."""

from __future__ import annotations

import glob
import os
import stat

from gateway.base import process
from gateway.cluster import ceph, mount_table, places
from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.embedded import layout
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SUBJECT = "shared disk"
_SECONDS = 5.0
"""For a look at a file system that may not answer."""
_SLOWEST = 30
"""Seconds after which Ceph may give a host up: what the gateway's own limits count with."""
_SHARED = (
    *("nfs", "nfs4", "cifs", "smb3", "glusterfs", "lustre", "beegfs", "gpfs", "afs", "9p", "ocfs2", "gfs2"),
    *("fuse.glusterfs", "fuse.juicefs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.mfs", "fuse.seaweedfs"),
)
_ETC = "/etc/ceph"
_CONF = f"{_ETC}/ceph.conf"


_OPTIONS = (
    ("mds_session_blocklist_on_timeout", True, "a host that Ceph gives up can write on after another has its locks"),
    ("mds_session_blocklist_on_evict", True, "a host that was evicted can write on after another has its locks"),
    (
        "defer_client_eviction_on_laggy_osds",
        False,
        "once an OSD was slow, Ceph gives no dead host up for long after, and its projects stay locked",
    ),
)
"""Of the MDSs, and as they have to be."""


def check(target: Target) -> Iterator[Finding]:
    config = target.config
    mounts = {}
    for path in filter(None, (config.paths_vaults, config.cluster_directory)):
        kind = process.ask(lambda path=path: mount_table.of(path).kind.encode(), _SECONDS)  # type: ignore[misc]
        if kind is None:
            yield fail(SUBJECT, f"{path} does not answer", "see that its file system does, or mount it anew")
            continue
        mounts[path] = kind.decode()
        yield from _kind(path, mounts[path])
        if places.is_cluster(config):
            yield from mounted(path, mounts[path], layout.root_of(config.paths_authorized_keys) is not None)
    if places.is_cluster(config):
        yield from keyrings(_ETC)
    if places.is_cluster(config) and any(kind in ceph.KINDS for kind in mounts.values()):
        yield from _reconnection(config.cluster_directory)
        yield from _timeouts(config.cluster_directory)
        yield from _options(config.cluster_directory)


def _kind(path: str, kind: str) -> Iterator[Finding]:
    if kind in _SHARED:
        state = f"{path} is on {kind}: a host that was cut off can go on writing there after another has its locks"
        yield fail(SUBJECT, state, "move it to a local disk, or to CephFS (docs/cluster.md)")
    elif kind in ceph.KINDS:
        yield ok(SUBJECT, f"{path} is on CephFS")


def mounted(path: str, kind: str, is_trial: bool) -> Iterator[Finding]:
    """Whether `path` of a host of a cluster is on a file system that others see too. An embedded one may be a trial."""
    if kind in (*_SHARED, *ceph.KINDS):
        return
    if is_trial:
        yield warn(SUBJECT, f"{path} is on {kind}, which puts no lost host out: a trial, no cluster", "docs/cluster.md")
    elif not os.path.exists(path):
        yield fail(SUBJECT, f"{path} is missing: the shared file system is not mounted", "mount it")
    else:
        state = f"{path} is on {kind}, a disk of this host alone: the shared file system is not mounted there"
        yield fail(SUBJECT, state, "move away what is there, mount it, and run `enc-gateway setup`")


def keyrings(directory: str) -> Iterator[Finding]:
    """With such a key the gateway's account could change every file of the store, as root can."""
    names = ("*.keyring", "keyring", "keyring.bin")  # where Ceph looks for keys
    found = sorted(path for name in names for path in glob.glob(os.path.join(directory, name)))
    for path in found:
        mode = os.stat(path).st_mode if os.path.exists(path) else 0
        if mode & stat.S_IROTH:
            state = f"{path} is readable by others: the gateway's account can write all of the store with that key"
            yield fail(SUBJECT, state, f"chmod 600 {path}")


def _reconnection(directory: str) -> Iterator[Finding]:
    """A client that was put out must stay out: it would go on as if it still had its locks."""
    if "recover_session=clean" in mount_table.of(directory).options:
        state = "it is mounted with recover_session=clean: a host that was put out comes back without its locks"
        yield fail(SUBJECT, state, "mount it without that option")
    try:
        with open(_CONF, encoding="utf-8", errors="replace") as file:
            entity = ceph.entity(directory)
            is_on = ceph.setting(file.read(), "client_reconnect_stale", entity) in ("true", "yes", "on", "1")
    except OSError:
        yield ok(SUBJECT, f"no {_CONF} to read: client_reconnect_stale is not seen")
        return
    if is_on:
        state = f"client_reconnect_stale is on in {_CONF}: a host that was put out comes back without its locks"
        yield fail(SUBJECT, state, "remove it there, and mount anew")
    else:
        yield ok(SUBJECT, f"client_reconnect_stale is off in {_CONF}; what the monitors have is not seen")


def _timeouts(directory: str) -> Iterator[Finding]:
    try:
        found = ceph.timeouts(ceph.entity(directory))
    except Misconfigured as error:
        fix = "see that session_timeout and session_autoclose are 30: `ceph fs get NAME`"
        yield warn(SUBJECT, f"Ceph was not asked when it gives a host up: {error.line()}", fix)
        return
    for one in found:
        for name, seconds in (("session_timeout", one.timeout), ("session_autoclose", one.autoclose)):
            if seconds > _SLOWEST:
                state = f"{name} of {one.fs} is {seconds} s: a dead host's projects are locked for longer than 45 s"
                yield fail(SUBJECT, state, f"ceph fs set {one.fs} {name} {_SLOWEST}")
        if max(one.timeout, one.autoclose) <= _SLOWEST:
            yield ok(SUBJECT, f"{one.fs} gives a host up after {one.timeout} s")


def _options(directory: str) -> Iterator[Finding]:
    for name, wanted, otherwise in _OPTIONS:
        word = str(wanted).lower()
        try:
            found = ceph.is_on(name, ceph.entity(directory))
        except Misconfigured as error:
            fix = f"see that it is {word}: `ceph config get mds {name}`"
            yield warn(SUBJECT, f"Ceph was not asked for {name}: {error.line()}", fix)
            continue
        if found != wanted:
            yield fail(SUBJECT, f"{name} is {str(found).lower()}: {otherwise}", f"ceph config set mds {name} {word}")
        else:
            yield ok(SUBJECT, f"{name} is {word}")
