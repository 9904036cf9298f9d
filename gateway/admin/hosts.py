"""The hosts of a cluster, as the sysadmin's commands show them: this one by what is here, the others by what they said
last.
"""

from __future__ import annotations

from gateway.admin import output
from gateway.base import text
from gateway.base.clock import boottime
from gateway.base.records import Record
from gateway.cluster import mirror, places
from gateway.cluster.host_record import Seen
from gateway.config.schema import Config
from gateway.errors import Misconfigured, Usage
from gateway.identity.names import HostName
from gateway.session import registry
from gateway.session.registry import Session


class Host(Record):
    """`silent_for` is how long it has not answered, in seconds, 0 for one that answers; of this host, how old its copy
    of what they share is. `clock_ahead` is by how many seconds its clock differs from ours, if that is too much.
    `ceph` is its client's name there. `is_evicted`: it was put out, and has said nothing since. `is_followed`: of this
    host, whether there is a copy. `sessions` are none when the host must have lost them.
    """

    name: HostName
    address: str
    is_this: bool
    silent_for: int
    is_drained: bool
    clock_ahead: int
    sessions: tuple[Session, ...]
    ceph: str
    is_evicted: bool = False
    is_followed: bool = True

    @property
    def state(self) -> str:
        """For people."""
        words = ["up"]
        if not self.is_followed:
            words = ["never followed"]
        elif self.is_evicted:
            words = ["evicted"]
        elif self.silent_for:
            words = [f"silent for {text.duration(self.silent_for)}" if output.at_terminal() else self._silence()]
        if self.clock_ahead:
            words.append(f"clock {abs(self.clock_ahead)} s {'ahead' if self.clock_ahead > 0 else 'behind'}")
        return ", ".join([*words, *(["drained"] if self.is_drained else [])])

    def _word(self) -> str:
        """The state for programs."""
        if not self.is_followed:
            return "never-followed"
        if self.silent_for:
            return "evicted" if self.is_evicted else "silent"
        return "drained" if self.is_drained else "up"

    def _silence(self) -> str:
        return f"silent for {self.silent_for} s"

    @property
    def unlocked(self) -> int:
        return sum(len(one.views) for one in self.sessions)

    def fields(self) -> dict[str, object]:
        """For programs."""
        return {
            "host": self.name,
            "address": self.address,
            "state": self._word(),
            "silent_for": self.silent_for,
            "drained": self.is_drained,
            "clock_ahead": self.clock_ahead,
            "this": self.is_this,
            "sessions": len(self.sessions),
            "unlocked": self.unlocked,
            "ceph": self.ceph,
        }


def all_of(settings: Config) -> tuple[Host, ...]:
    """Every host, by name; none where this one is alone. It does not wait for the store."""
    if not places.is_cluster(settings):
        return ()
    told = {seen.record.host: seen for seen in mirror.everyone(settings)}
    name = HostName.of(settings.cluster_host)
    own = told.pop(name, None)
    age = mirror.age(places.copy(settings))
    here = Host(
        name=name,
        address=settings.cluster_address,
        is_this=True,
        silent_for=_since(age, settings.cluster_stale),
        is_drained=mirror.is_drained(settings),
        clock_ahead=0,
        sessions=registry.live(settings.paths_run),
        ceph=own.record.ceph if own else "",
        is_followed=age != float("inf"),
    )
    return tuple(sorted((here, *map(_other, told.values())), key=lambda one: one.name))


def _since(age: float, stale: int) -> int:
    """Whole seconds; for a copy that never was, since the host started."""
    return round(min(age, boottime())) if age > stale else 0


def _other(seen: Seen) -> Host:
    record = seen.record
    return Host(
        name=record.host,
        address=record.address,
        is_this=False,
        silent_for=max(1, round(boottime() - seen.changed)) if mirror.is_silent(seen) else 0,
        is_drained=record.is_drained,
        clock_ahead=round(mirror.clock_ahead(seen)),
        sessions=() if mirror.is_gone(seen) else record.sessions,
        ceph=record.ceph,
        is_evicted=record.is_evicted,
    )


def others(settings: Config) -> tuple[Host, ...]:
    """All but this one."""
    return tuple(one for one in all_of(settings) if not one.is_this)


def require_cluster(settings: Config) -> None:
    """Raise Misconfigured on a host that is alone."""
    if not places.is_cluster(settings):
        raise Misconfigured(
            "this host is in no cluster", "`enc-gateway setup --cluster DIRECTORY --host NAME --address NAME:PORT`"
        )


def named(settings: Config, name: str) -> Host:
    """The host of that name. Raises Usage."""
    found = {one.name: one for one in all_of(settings)}
    if not HostName.accepts(name):
        raise Usage(f"that is not a host name: {output.visible(name)}", HostName.rule)
    if name not in found:
        raise Usage(f"the cluster has no host {name}", f"its hosts are {', '.join(found)}")
    return found[HostName.of(name)]


def require_own_client(settings: Config, host: Host) -> None:
    """Raise Usage when which client of Ceph's `host` is, is not known: it has said nothing, or what another host, maybe
    this one, says of itself. Putting that client out could hit the other one.
    """
    clients = "`ceph tell mds.0 client ls` lists them"
    if not host.ceph:
        raise Usage(f"{host.name} did not say which client of Ceph's it is", clients)
    if same := [one.name for one in all_of(settings) if one.ceph == host.ceph and one.name != host.name]:
        raise Usage(f"{host.name} says that it is {host.ceph} of Ceph's, and so does {', '.join(same)}", clients)
