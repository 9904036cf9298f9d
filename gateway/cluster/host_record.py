"""What a host says of itself to the others, in a JSON file on the shared file system; and what is copied of it."""

from __future__ import annotations

from gateway.base import codec
from gateway.base.records import Record
from gateway.errors import Usage
from gateway.identity.names import HostName
from gateway.session.record import NAMES, Holder, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.codec import Shown

FORMAT = 1
_NAMES: codec.Words = {
    **NAMES,
    "HostName": HostName.of,
    "Session": Session,
    "View": View,
    "Holder": Holder,
}


class HostRecord(Record):
    """`address` is where clients reach it (NAME:PORT), `written` is UTC (RFC 3339) by its own clock, `audit_seq` and
    `audit_hash` are the head of the copy of its audit log (gateway.cluster.audit_copy), `ceph` is its client's name
    there ("": none), `ceph_entity` the name of its cephx key, `host_key` the fingerprint of its sshd's ("": not known).
    `is_evicted`: another host has written this, when it put that one out; `written` is still that one's.
    """

    format: int = FORMAT
    host: HostName
    address: Shown
    written: Shown
    is_drained: bool
    sessions: tuple[Session, ...]
    audit_seq: int
    audit_hash: Shown
    ceph: Shown = ""
    ceph_entity: Shown = ""
    host_key: Shown = ""
    is_evicted: bool = False


class Seen(Record):
    """A record, when its host wrote it, as well as that is known, and when the host that copied it looked last, in
    seconds of that one's CLOCK_BOOTTIME (`looked` 0: now). The silence of its host counts from `excused` on at the
    earliest: before, nobody here could hear it. `ahead` is by how many seconds its clock is ahead of ours, 0 when that
    is not known.
    """

    record: HostRecord
    changed: float
    looked: float = 0.0
    excused: float = 0.0
    ahead: float = 0.0


class Hosts(Record):
    """All hosts, as one of them has seen them."""

    hosts: tuple[Seen, ...]


def dumps(record: HostRecord | Hosts) -> str:
    return codec.dumps(record)


def load(text: bytes, name: str) -> HostRecord:
    """The record in the file of host `name`. Raises ValueError for anything else."""
    found = codec.loads(HostRecord, text, _NAMES)
    if found.host != name or found.format != FORMAT:
        raise ValueError("another host's record")
    return found


def load_all(text: bytes) -> Hosts:
    """Raises ValueError for anything but what `dumps` made."""
    return codec.loads(Hosts, text, {**_NAMES, "HostRecord": HostRecord, "Seen": Seen})


def address(text: str) -> tuple[str, int]:
    """Host and port of NAME:PORT. Raises Usage."""
    name, colon, port = text.rpartition(":")
    if not (colon and name and port.isdecimal() and 0 < int(port[:6]) < 65536) or any(char.isspace() for char in name):
        raise Usage("that is not an address of a host", "write NAME:PORT")
    return name.strip("[]"), int(port)
