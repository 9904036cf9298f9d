"""Where the hosts of a cluster have what they share, and where each has its own copy of it.

On the shared file system `cluster.directory`, which belongs to root:

    authorized_keys     the master; `enc-gateway key` edits it, and so do sysadmins
    hosts/<host>.json   what a host says of itself (gateway.cluster.host_record)
    drained/<host>      while it is there, nothing new begins on that host
    audit/<host>.jsonl  a copy of each host's audit log, and of its closed logs (gateway.cluster.audit_copy)

On each host the directory of `paths.authorized_keys`, on a tmpfs, has the copy, which `enc-gateway host follow` makes
every second. sshd, fronts and wardens read only that: they never wait for the shared file system.

    authorized_keys     for sshd
    hosts.json          the records of all hosts, and when each changed last
    drained             as above, for this host
    twin                its mtime is when another host of this one's name was seen last
    fresh               its mtime is when the look began that made the copy complete last, in nanoseconds of
                        CLOCK_BOOTTIME
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config

KEYS, HOSTS, DRAINED, AUDIT = "authorized_keys", "hosts", "drained", "audit"
AUDIT_ENDING = ".jsonl"
RECORD = ".json"
"""How the name of a host's record ends."""
SHARED = (HOSTS, DRAINED, AUDIT)
"""The directories in `cluster.directory`."""
COPIED_HOSTS, FRESH, TWIN = "hosts.json", "fresh", "twin"


def is_cluster(config: Config) -> bool:
    """Whether this host shares its vaults with others."""
    return bool(config.cluster_directory)


def keys(config: Config) -> str:
    """The authorized_keys that sysadmins and `enc-gateway key` edit."""
    return os.path.join(config.cluster_directory, KEYS) if is_cluster(config) else config.paths_authorized_keys


def audit(config: Config, host: str) -> str:
    """The copy of a host's audit log."""
    return os.path.join(config.cluster_directory, AUDIT, host + AUDIT_ENDING)


def record(config: Config, host: str) -> str:
    """What the host of that name says of itself."""
    return os.path.join(config.cluster_directory, HOSTS, host + RECORD)


def copy(config: Config) -> str:
    """The directory of this host's copy."""
    return os.path.dirname(config.paths_authorized_keys)


def state(config: Config) -> str:
    """The directory for the account's files that count for a principal on all hosts together."""
    return os.path.join(config.paths_vaults, ".state") if is_cluster(config) else config.paths_run
