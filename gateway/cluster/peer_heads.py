"""Note in this host's audit log what the others say is their newest record: so an end that is cut off there, in the log
and in its copy, shows here (gateway.audit.peers).
"""

from __future__ import annotations

import os

from gateway.audit import peers
from gateway.audit.log import AuditLog
from gateway.audit.verification import Head
from gateway.base import privileges
from gateway.base.clock import boottime
from gateway.cluster import mirror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.cluster.host_record import HostRecord, Seen
    from gateway.config.schema import Config

SECONDS = 60.0
"""Between two times at which heads are noted."""
WITNESSES = 8
"""Hosts that note a host's head: those that follow its name. With up to nine hosts, all others."""
_DIGITS = frozenset("0123456789abcdef")


class PeerHeads:
    """Call `note` again and again, with what is known of the other hosts. It remembers what it has noted."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._noted: dict[str, Head] = {}
        self._last = float("-inf")

    def note(self, hosts: Sequence[Seen]) -> None:
        """Write a `peer-head` record for each host whose head has moved, at most once in SECONDS.

        Raises Misconfigured when the log cannot be written.
        """
        if boottime() - self._last < SECONDS:
            return
        moved = [one for one in self._watched(hosts) if self._noted.get(one.host) != _head(one)]
        if not moved:
            return
        self._last = boottime()
        log = AuditLog(self._config.paths_audit, self._config.audit_syslog)
        with privileges.account(*privileges.owner(os.path.dirname(log.path))):
            for one in moved:
                log.write(peers.EVENT, peer=one.host, peer_seq=one.audit_seq, peer_hash=one.audit_hash)
                self._noted[one.host] = _head(one)

    def _watched(self, hosts: Sequence[Seen]) -> list[HostRecord]:
        """Of the hosts that answer and have a head, those that come before ours by name, the first after the last."""
        own = self._config.cluster_host
        answering = (one.record for one in hosts if one.record.host != own and not mirror.is_silent(one))
        ordered = sorted((one for one in answering if _is_sound(one)), key=lambda one: (one.host < own, one.host))
        return ordered[-WITNESSES:]


def _head(record: HostRecord) -> Head:
    return Head(number=record.audit_seq, hash=record.audit_hash)


def _is_sound(record: HostRecord) -> bool:
    return record.audit_seq > 0 and len(record.audit_hash) == 64 and _DIGITS.issuperset(record.audit_hash)
