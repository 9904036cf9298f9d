"""What the hosts of a cluster tell each other, by files on the store: this host's record, those of the others, and
whether this host is drained.

After the death of a host, the store may keep whoever writes a file that the dead one had read waiting until it has
given that one up (half a minute). So this is apart from the copy of the keys, which must not wait for it, and a host is
silent only by looks that came back (gateway.cluster.mirror).
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

from gateway.audit.query import timestamp
from gateway.audit.verification import Head
from gateway.base import files, privileges
from gateway.base.clock import boottime, utc_now
from gateway.base.records import Record
from gateway.cluster import audit_copy, ceph, host_record, mirror, places
from gateway.cluster.host_record import HostRecord, Hosts, Seen
from gateway.cluster.peer_heads import PeerHeads
from gateway.errors import EncError, Misconfigured
from gateway.identity import authorized_keys
from gateway.identity.names import HostName
from gateway.session import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.config.schema import Config

    Stamp = tuple[int, ...]

WRITE_SECONDS = 5.0
"""At which a record is written that has not changed, and the copy of all."""
STALL_SECONDS = 3.0
"""A step that took longer: the store did not answer."""
_AT_ONCE = 2.0
"""Seconds from the last look that saw a record unchanged, within which the new one was read: so its time is that of
its host's clock, and not how long we waited for the store.
"""
_MEASUREMENTS = 3
"""Of a clock, of which the one that is ahead most counts: a host that waited for the store while it wrote has told an
older time than it is.
"""
_TWIN_SECONDS = 30.0
"""In which it is said that another host has our name, after it was seen."""
_MOST_HOSTS = 256
_MOST_OF_SESSIONS = 1 << 20
"""Bytes that are read of what the account says of sessions: about 1,800 of them. All hosts, and their fronts, read what
comes of it.
"""
_MAX_BYTES = 4 << 20
"""Of a record: characters that are not ASCII take three times as much there."""


class _Look(Record):
    """At a host's record: the file that it was, when it still was that one (CLOCK_BOOTTIME), and by how many seconds
    the host's clock was ahead, by the last records that were read at once.
    """

    stamp: Stamp
    at: float
    ahead: tuple[float, ...] = ()


class Exchange:
    """Call `step` each second. It may hang as long as the store does. `host_key` is sshd's public key."""

    def __init__(self, config: Config, host_key: Path | None = None) -> None:
        self._config = config
        self._host_key = host_key
        self._client = self._entity = ""
        self._clients: set[str] = set()
        self._group = os.getegid()
        self._host = HostName.of(config.cluster_host)
        self._directory = os.path.join(config.cluster_directory, places.HOSTS)
        self._copy = places.copy(config)
        self._looks: dict[str, _Look] = {}
        self._seen: dict[str, Seen] = {}
        self._refused: dict[str, str] = {}
        self._are_all = True
        self._uncopied: set[str] = set()
        self._said: HostRecord | None = None
        self._wrote: Stamp = ()
        self._twin_seen = float("-inf")
        self._head = Head(number=0, hash="")
        self._heads = PeerHeads(config)
        self._written = self._copied = float("-inf")

    def step(self) -> tuple[str, ...]:
        """Copy, and write what changed. Returns what is wrong, in words: one thing that fails stops no other."""
        began = boottime()
        wrong = [
            *_problem("drained", self._copy_drained),
            *_problem("the copy of the audit log", self._copy_audit),  # before the record, which has its head
            *_problem("this host's record", self._write),
        ]
        changed = False

        def read() -> None:
            nonlocal changed
            changed = self._read_others()

        wrong += _problem("the hosts' records", read)
        wrong += _problem("the heads of the others' logs", lambda: self._heads.note(tuple(self._seen.values())))
        if boottime() - began > STALL_SECONDS:
            self._excuse()
            changed = True
        if changed or boottime() - self._copied > WRITE_SECONDS:
            wrong += _problem("the copy of the hosts' records", self._write_copy)
        return *wrong, *self._left_out()

    def _left_out(self) -> Iterator[str]:
        """What was not taken of what is there, in words."""
        if not self._are_all:
            yield f"not all sessions are told: their records have more than {_MOST_OF_SESSIONS >> 20} MiB"
        for name, why in sorted(self._refused.items()):
            yield f"the record of {name} is not taken: {why}"
        for name in sorted(self._uncopied):
            yield f"the sessions of {name} are not copied: all hosts have more than {mirror.MAX_BYTES >> 20} MiB"

    def _copy_drained(self) -> None:
        mark = os.path.join(self._copy, places.DRAINED)
        is_drained = self._host in os.listdir(os.path.join(self._config.cluster_directory, places.DRAINED))
        if is_drained and not os.path.exists(mark):
            files.replace(mark, b"", 0o644, durable=False)
        elif not is_drained and os.path.exists(mark):
            os.unlink(mark)

    def _copy_audit(self) -> None:
        self._head = audit_copy.append(self._config) or self._head

    def _write(self) -> None:
        """Write this host's record, if it has changed or is due."""
        record = self._now()
        is_due = boottime() - self._written > WRITE_SECONDS
        if self._said is None or is_due or record != self._said.replace(written=record.written):
            path = places.record(self._config, self._host)
            twin = self._twin(path)
            files.replace(path, host_record.dumps(record), 0o600, durable=False)
            self._said, self._written, self._wrote = record, boottime(), _stamp(os.lstat(path))
            if twin:
                self._twin_seen = boottime()
                files.replace(os.path.join(self._copy, places.TWIN), b"", 0o644, durable=False)  # doctor looks for it
        if boottime() - self._twin_seen < _TWIN_SECONDS:
            raise Misconfigured(
                f"another host is called {self._host} as well, so `host drain`, `host evict` and the audit take the two"
                " for one",
                "give one of them another cluster.host",
            )

    def _twin(self, path: str) -> bool:
        """Whether another machine has written our record since we did. (`host evict` writes it, as we said it, maybe
        before our file system was mounted anew.)
        """
        try:
            if not self._said or _stamp(os.lstat(path)) == self._wrote:
                return False
            found = host_record.load(files.read(path, _MAX_BYTES), self._host)
        except (OSError, ValueError):  # it is gone, or being replaced
            return False
        if found.is_evicted:
            return False
        return found.address != self._said.address or found.ceph not in self._clients

    def _now(self) -> HostRecord:
        config = self._config
        with privileges.account(*privileges.owner(config.paths_run)):  # what lies there is a stranger's to root
            sessions, self._are_all = registry.some(config.paths_run, _MOST_OF_SESSIONS)
        client = ceph.client_name(config.cluster_directory)
        if client != self._client:  # it was mounted anew
            self._client, self._entity = client, ceph.entity(config.cluster_directory)
        self._clients.add(client)
        return HostRecord(
            host=self._host,
            address=config.cluster_address,
            written=utc_now(),
            is_drained=os.path.exists(os.path.join(self._copy, places.DRAINED)),
            sessions=sessions,
            audit_seq=self._head.number,
            audit_hash=self._head.hash,
            ceph=client,
            ceph_entity=self._entity,
            host_key=_fingerprint(self._host_key),
        )

    def _read_others(self) -> bool:
        """Read the records that have changed. Returns whether one has, or is gone."""
        there = dict(self._names())
        gone = self._seen.keys() - there.keys()
        for name in gone:
            del self._seen[name], self._looks[name]
        self._refused = {name: why for name, why in self._refused.items() if name in there}
        changed = bool(gone)
        for name, path in there.items():
            before, began = self._looks.get(name), boottime()
            try:
                stamp = _stamp(os.stat(path, follow_symlinks=False))
                if before and stamp == before.stamp:
                    self._looks[name] = before.replace(at=began)
                    continue
                record = host_record.load(files.read(path, _MAX_BYTES), name)
            except FileNotFoundError:  # it is replaced at this moment
                continue
            except OSError as error:
                self._refused[name] = error.strerror or str(error)
                continue
            except ValueError:
                self._refused[name] = "it is none of that host"
                continue
            self._refused.pop(name, None)
            self._take(name, record, _Look(stamp=stamp, at=began))
            changed = True
        return changed

    def _take(self, name: str, record: HostRecord, look: _Look) -> None:
        """Note a record that has changed, or is new to us."""
        before, now, age = self._looks.get(name), boottime(), _age(record)
        ahead = before.ahead if before else ()
        if before is None:
            seen = Seen(record=record, changed=now - max(0.0, age))
        elif record.is_evicted:  # no sign of life
            seen = self._seen[name].replace(record=record)
        else:
            if now - before.at <= _AT_ONCE:
                ahead = (*ahead, -age)[-_MEASUREMENTS:]
            age = min(max(0.0, age + max(ahead, default=0.0)), now - before.at)
            known = max(ahead) if len(ahead) == _MEASUREMENTS else 0.0
            seen = Seen(record=record, changed=now - age, excused=now, ahead=known)
        self._looks[name], self._seen[name] = look.replace(ahead=ahead), seen

    def _names(self) -> Iterator[tuple[str, str]]:
        with os.scandir(self._directory) as entries:
            for number, entry in enumerate(entries):
                name = entry.name.removesuffix(places.RECORD)
                if number < 2 * _MOST_HOSTS and entry.name.endswith(places.RECORD) and HostName.accepts(name):
                    yield name, entry.path

    def _excuse(self) -> None:
        """No host is silent because we heard nothing: who does not write soon now is."""
        latest = boottime() - (mirror.SILENT_AFTER - WRITE_SECONDS)
        self._seen = {name: seen.replace(excused=max(seen.excused, latest)) for name, seen in self._seen.items()}

    def _write_copy(self) -> None:
        """Of what a reader would not take, as a whole too much, the sessions of the largest are left out."""
        looked = boottime()
        hosts = [seen.replace(looked=looked) for _, seen in sorted(self._seen.items())]
        text = host_record.dumps(Hosts(hosts=tuple(hosts)))
        self._uncopied = set()
        while len(text) > mirror.MAX_BYTES:
            largest = max(range(len(hosts)), key=lambda at: len(hosts[at].record.sessions))
            self._uncopied.add(hosts[largest].record.host)
            hosts[largest] = hosts[largest].replace(record=hosts[largest].record.replace(sessions=()))
            text = host_record.dumps(Hosts(hosts=tuple(hosts)))
        with contextlib.suppress(OSError):  # that of the account, whose fronts read it; nobody else does
            _, self._group = privileges.owner(self._config.paths_run)
        path, owner = os.path.join(self._copy, places.COPIED_HOSTS), (os.geteuid(), self._group)
        files.replace(path, text, 0o640, owner, durable=False)
        self._copied = looked


def _stamp(found: os.stat_result) -> Stamp:
    if not stat.S_ISREG(found.st_mode):
        raise OSError("not a regular file")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _age(record: HostRecord) -> float:
    """How old it is in seconds, by the clocks of two hosts."""
    try:
        return time.time() - timestamp(record.written)
    except ValueError:
        return 0.0


def _problem(what: str, do: Callable[[], object]) -> Iterator[str]:
    try:
        do()
    except OSError as error:
        yield f"{what}: {error.strerror or error}"
    except EncError as error:
        yield f"{what}: {error.line()}"


def _fingerprint(public_key: Path | None) -> str:
    """Of the key in that file; "" for none."""
    try:
        return authorized_keys.fingerprint(public_key.read_text().split()[1]) if public_key else ""
    except (OSError, ValueError, IndexError):
        return ""
