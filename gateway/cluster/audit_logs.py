"""The audit logs of all hosts, as one of them reads them: its own log, and the copies of the others'."""

from __future__ import annotations

import os

from gateway.audit import peers, verification
from gateway.audit.archives import Log
from gateway.audit.peers import Checked
from gateway.base import privileges
from gateway.cluster import mirror, places
from gateway.errors import Usage
from gateway.identity.names import HostName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.config.schema import Config


def logs(config: Config, host: str = "") -> tuple[Log, ...]:
    """All logs, this host's first; with `host`, that one's alone. A gateway that is alone has one.

    The copies are root's: read them in `gateway.base.privileges.root`. Raises Usage for a host that has no log.
    """
    if not places.is_cluster(config):
        if host:
            raise Usage("this gateway is in no cluster", "leave out --host")
        return (Log(path=config.paths_audit),)
    own = Log(path=config.paths_audit, host=config.cluster_host)
    if host == own.host:
        return (own,)
    found = (own, *_copies(config))
    if not host:
        return found
    chosen = tuple(log for log in found if log.host == host)
    if not chosen:
        raise Usage(f"there is no log of a host {host}", f"the hosts are {', '.join(log.host for log in found)}")
    return chosen


def _copies(config: Config) -> Iterator[Log]:
    """Of the other hosts."""
    directory = os.path.join(config.cluster_directory, places.AUDIT)
    try:
        with privileges.root():
            names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        host = name.removesuffix(places.AUDIT_ENDING)
        if name != host and host != config.cluster_host and HostName.accepts(host):
            yield _copy(config, host)


def _copy(config: Config, host: str) -> Log:
    return Log(path=places.audit(config, host), host=host, is_copy=True)


def verify(config: Config, quick: bool = False) -> tuple[Checked, ...]:
    """Check all logs, in a cluster also against each other (gateway.audit.peers). Raises OSError."""
    if not places.is_cluster(config):
        return (Checked(host="", report=verification.verify(config.paths_audit, quick)),)
    known = (seen.record.host for seen in mirror.hosts(config) if seen.record.audit_seq)
    found = logs(config)
    with privileges.root():  # read only, and no link is followed: what the account put there does no harm
        return peers.verify(found, _copy(config, config.cluster_host), known, quick)
