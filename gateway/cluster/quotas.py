"""`limits.disk` in a cluster: root has the store keep it, for each principal's home (gateway.limits.disk.ceph_quota).

A session whose home has it does without a supervisor (gateway.session.launch). A home that is new gets it within a
second or two; until then, and on a store that keeps no quota, the session's supervisor does.
"""

from __future__ import annotations

import os

from gateway.base import privileges
from gateway.base.clock import boottime
from gateway.cluster import places
from gateway.config import loader
from gateway.errors import EncError
from gateway.limits.disk import ceph_quota
from gateway.vault import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config

SECONDS = 60.0
"""At which all homes are looked at. A new one changes the time of the directory that has it."""


class Quotas:
    """Call `step` each second, as root. It may hang as long as the store does. `path` is that of gateway.toml, which is
    read each time: its limit may change.
    """

    def __init__(self, path: str, config: Config) -> None:
        self._path = path
        self._vaults = config.paths_vaults
        self._changed = 0
        self._due = float("-inf")
        self._wrong: tuple[str, ...] = ()

    def step(self) -> tuple[str, ...]:
        """Set what is due. Returns what is wrong, in words."""
        try:
            changed = os.stat(self._vaults).st_mtime_ns
            if changed != self._changed or boottime() > self._due:
                self._wrong = apply(loader.load(self._path))
                self._changed, self._due = changed, boottime() + SECONDS
        except OSError as error:
            return (f"the disk quotas: {error.strerror}",)
        except EncError as error:
            return (f"the disk quotas: {error.line()}",)
        return self._wrong


def apply(config: Config) -> tuple[str, ...]:
    """Set the quota of all homes, on a host of a cluster. Returns what is wrong, in words; the first of its kind.
    Raises OSError when the homes cannot be listed.
    """
    if not places.is_cluster(config):
        return ()
    wrong: dict[str, str] = {}
    with privileges.account(*privileges.owner(config.paths_vaults)):
        homes = store.homes(config.paths_vaults)
    with privileges.root():
        for principal, _ in homes:
            try:
                ceph_quota.limit(config.paths_vaults, principal.directory, config.limits_disk)
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = error.strerror or str(error)
                hint = "; this host's cephx key needs the flag p" if isinstance(error, PermissionError) else ""
                wrong.setdefault(reason, f"the disk quota of {principal}: {reason}{hint}")
    return tuple(wrong.values())
