"""This host's copy of what the hosts of a cluster share: how old it is, and what it says. It never waits for the store.

The copy is made by gateway.cluster.follower.
"""

from __future__ import annotations

import os

from gateway.base import files
from gateway.base.clock import boottime
from gateway.cluster import freshness, places
from gateway.cluster.freshness import age as age
from gateway.errors import Busy, Elsewhere, EncError, Paused
from gateway.session import maintenance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.cluster.host_record import Seen
    from gateway.config.schema import Config
    from gateway.identity.names import Named, Principal, ProjectName
    from gateway.session.record import Session

MAX_BYTES = 16 << 20
"""Of the records of all hosts."""
FREE_AFTER = 45
"""Seconds after a host's death in which what it held is free, at most: the file system throws it out."""
SILENT_AFTER = 20.0
"""Seconds without a change of a host's record, which each writes every 5 s, after which it counts as silent."""
_NAMED = 3
"""Of the hosts that are up, a drained one names so many."""
_CLOCK_TOLERANCE = 5.0
"""Seconds: a record has the second in which it was written, and is seen up to two later."""


def require_fresh(config: Config) -> None:
    """Raise Misconfigured when the copy is too old to begin anything by it. Always passes on a host that is alone."""
    if places.is_cluster(config):
        freshness.require(places.copy(config), config.cluster_stale)


def require_running(config: Config, principal: Principal | None = None, project: Named | None = None) -> None:
    """Raise what refuses everything that begins: Misconfigured as `require_fresh`, Elsewhere on a host that is drained,
    or Paused if no other one is up, and Paused in a pause. The shared file system is asked only when it has just
    answered.

    Elsewhere leads to the host that has `project`, as `principal` calls it, else to one with a session of theirs.
    """
    require_fresh(config)
    if is_drained(config):
        raise _drained(config, principal, project)
    maintenance.require_running(config.paths_pause)


def _drained(config: Config, principal: Principal | None, project: Named | None) -> EncError:
    up = [seen for seen in hosts(config) if not (seen.record.is_drained or is_silent(seen))]
    if not up:
        return Paused("this host is drained, and no other host is up", "try again later")
    theirs = [] if principal is None else list(sessions(config, principal))
    having_one = {seen.record.host for seen, _ in theirs}
    having_it = {seen.record.host for seen, session in theirs if project and session.has(project)}

    def last(seen: Seen) -> tuple[bool, bool, int]:
        record = seen.record
        return record.host not in having_it, record.host not in having_one, len(record.sessions)

    up.sort(key=last)
    addresses = " or ".join(seen.record.address for seen in up[:_NAMED])
    first = up[0].record
    return Elsewhere("this host is drained", f"connect to {addresses}", host=first.host, address=first.address)


def hosts(config: Config) -> tuple[Seen, ...]:
    """All hosts but this one; none for a host that is alone, or that knows of none."""
    return tuple(one for one in everyone(config) if one.record.host != config.cluster_host)


def everyone(config: Config) -> tuple[Seen, ...]:
    """The same with this host, as it last told the others."""
    if not places.is_cluster(config):
        return ()
    from gateway.cluster import host_record  # most hosts are alone

    try:
        found = host_record.load_all(files.read(os.path.join(places.copy(config), places.COPIED_HOSTS), MAX_BYTES))
    except (OSError, ValueError):
        return ()
    return found.hosts


def is_silent(seen: Seen) -> bool:
    """Whether its host was put out, or did not answer for SILENT_AFTER, up to the last look: of the time since, nobody
    knows.
    """
    silence = (seen.looked or boottime()) - max(seen.changed, seen.excused)
    return seen.record.is_evicted or silence > SILENT_AFTER


def is_gone(seen: Seen) -> bool:
    """Whether its host's sessions have ended: it was put out, or is silent for longer than the file system takes."""
    silence = (seen.looked or boottime()) - seen.changed
    return seen.record.is_evicted or (is_silent(seen) and silence > FREE_AFTER)


def clock_ahead(seen: Seen) -> float:
    """By how many seconds its host's clock is ahead of ours (less than 0: behind); 0 when that is within
    _CLOCK_TOLERANCE, or it is not known, or the host is silent.
    """
    return 0.0 if is_silent(seen) or abs(seen.ahead) <= _CLOCK_TOLERANCE else seen.ahead


def is_drained(config: Config) -> bool:
    """Whether a sysadmin wants nothing new to begin on this host."""
    return places.is_cluster(config) and os.path.exists(os.path.join(places.copy(config), places.DRAINED))


def sessions(config: Config, principal: Principal) -> Iterator[tuple[Seen, Session]]:
    """The principal's sessions on other hosts, as `Context.all_sessions` has those on this one."""
    for seen in hosts(config):
        for one in seen.record.sessions:
            if one.principal == principal or (one.shared and one.is_held_by(principal)):
                yield seen, one.seen_by(principal)


def having(config: Config, owner: Principal, project: ProjectName) -> Iterator[Seen]:
    """The other hosts that have `owner`'s project unlocked, by what they last said."""
    for seen in hosts(config):
        if any(one.principal == owner and one.has(project) for one in seen.record.sessions):
            yield seen


def require_here(
    config: Config,
    owner: Principal,
    project: ProjectName,
    called: Named,
    is_held: Callable[[], bool] = lambda: True,
    holder: Callable[[], str] = str,
) -> None:
    """Raise Elsewhere when another host that answers has the project, which the caller knows as `called`, unlocked, and
    Busy when one that is silent has.

    What hosts tell each other is some seconds old. So `holder` is asked for the name of the host that the vault itself
    has ("": none) when no host has told of it, and `is_held` whether the vault still is somebody's.
    """
    having_it = tuple(having(config, owner, project)) or _called(config, holder())
    if having_it and is_held():
        for seen in having_it:
            if not is_silent(seen):
                raise elsewhere(f"{called} is unlocked on {seen.record.host}", seen)
        for seen in having_it:
            silence = f"which has not answered for {boottime() - seen.changed:.0f} s"
            host = seen.record.host
            said = f"{called} is held by {host}, {silence}"
            raise Busy(f"{said}; it is free at most {FREE_AFTER} s after that host's death", "try again", host)


def _called(config: Config, name: str) -> tuple[Seen, ...]:
    """The other host of that name; none for "", for this one, and for one that is not known."""
    return tuple(seen for seen in hosts(config) if seen.record.host == name) if name else ()


def elsewhere(about: str, seen: Seen) -> Elsewhere:
    host, address = seen.record.host, seen.record.address
    return Elsewhere(about, f"connect to {address}, where it is", host=host, address=address)
