"""What the warden and its scanner say to each other: packets of a SOCK_SEQPACKET socket."""

from __future__ import annotations

import struct
from enum import IntEnum

from gateway.base.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_BYTES = 192 * 1024
"""Of a packet; it has to fit into a socket's buffer as the kernel makes it (net.core.wmem_default)."""

_REQUEST = struct.Struct("=IH")
_REPORT = struct.Struct("=IBII")
_ENTRY = struct.Struct("=dB")


class Kind(IntEnum):
    """OPENED: `value` is the watch. FOUND: `entries` are directories, names with the times of their last change. A
    visit ends with one of LISTED, FAILED (`value` is the errno) and FULL (no watch is left). RESTED: nothing more until
    the next request.
    """

    OPENED = 1
    FOUND = 2
    LISTED = 3
    FAILED = 4
    FULL = 5
    RESTED = 6


class Report(Record):
    """What came of a visit, which has a number."""

    kind: Kind
    visit: int = 0
    value: int = 0
    entries: tuple[tuple[bytes, float], ...] = ()


def pack_request(visits: Iterable[tuple[int, bytes]]) -> bytes:
    """Go on with what is not done yet, and with these visits: numbers and paths. At most MOST_BYTES for 32 of them."""
    return b"".join(_REQUEST.pack(number, len(path)) + path for number, path in visits) or b"\0"


def unpack_request(packet: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _REQUEST.size <= len(packet):
        number, length = _REQUEST.unpack_from(packet, position)
        position += _REQUEST.size + length
        yield number, packet[position - length : position]


def pack(report: Report) -> bytes:
    """At most MOST_BYTES for 512 entries. Several in a row may make one packet."""
    entries = b"".join(_ENTRY.pack(modified, len(name)) + name for name, modified in report.entries)
    return _REPORT.pack(_REPORT.size + len(entries), report.kind, report.visit, report.value) + entries


def unpack(packet: bytes) -> Iterator[Report]:
    position = 0
    while position < len(packet):
        size, kind, visit, value = _REPORT.unpack_from(packet, position)
        end = position + size
        position += _REPORT.size
        entries = []
        while position < end:
            modified, length = _ENTRY.unpack_from(packet, position)
            position += _ENTRY.size + length
            entries.append((packet[position - length : position], modified))
        yield Report(kind=Kind(kind), visit=visit, value=value, entries=tuple(entries))
