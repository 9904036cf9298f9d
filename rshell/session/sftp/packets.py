"""SFTP's packets (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL), as far as they tell where a request goes."""

from __future__ import annotations

import struct
import time

from gateway.base.records import Record

LARGEST = 256 * 1024
"""Bytes of a packet, as OpenSSH's sftp-server has it."""

INIT, VERSION, CLOSE, OPENDIR, READDIR = 1, 2, 4, 11, 12
STATUS, HANDLE, NAME, ATTRS = 101, 102, 104, 105
EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 1, 2, 3, 4, 8
LSTAT, REALPATH = 7, 16

_BY_PATH = frozenset((3, 7, 9, 11, 13, 14, 15, 16, 17, 19))
_BY_HANDLE = frozenset((4, 5, 6, 8, 10, 12))
_RENAME, _SYMLINK, _EXTENDED = 18, 20, 200
_BY_PATHS = frozenset((_RENAME, _SYMLINK))

_EXTENSIONS_BY_PATH = frozenset((b"statvfs@openssh.com", b"lsetstat@openssh.com", b"expand-path@openssh.com"))
_EXTENSIONS_BY_PATHS = frozenset((b"posix-rename@openssh.com", b"hardlink@openssh.com"))
_EXTENSIONS_BY_HANDLE = frozenset((b"fstatvfs@openssh.com", b"fsync@openssh.com"))
_COPY = b"copy-data"
_EXTENSIONS_OF_ALL = frozenset((b"limits@openssh.com", b"home-directory", b"users-groups-by-id@openssh.com"))
_EXTENSIONS = (
    _EXTENSIONS_BY_PATH | _EXTENSIONS_BY_PATHS | _EXTENSIONS_BY_HANDLE | _EXTENSIONS_OF_ALL | frozenset((_COPY,))
)
"""Those of OpenSSH that we can lead to a session."""


class Malformed(ValueError):
    """A packet that SFTP does not have."""


class Unknown(ValueError):
    """A request that we do not lead anywhere."""


class Asked(Record):
    """A request in parts: `head` is what comes before its paths or handles (with the type and the id), `names` are its
    paths or handles, with `between` between them, and `rest` is what follows. With no names, any session can answer.
    `is_target_first`: the first path of two is only text.
    """

    kind: int
    id: bytes
    head: bytes
    names: tuple[bytes, ...] = ()
    between: bytes = b""
    rest: bytes = b""
    has_handle: bool = False
    is_target_first: bool = False

    def packet(self, names: tuple[bytes, ...]) -> bytes:
        """The whole of it with other paths, or other handles."""
        return framed(self.head + self.between.join(map(string, names)) + self.rest)


def asked(body: bytes) -> Asked:
    """The request in the body of a packet. Raises Malformed, Unknown."""
    if len(body) < 5:
        raise Malformed
    kind, id_, at = body[0], body[1:5], 5
    extension = between = b""
    if kind == _EXTENDED:
        extension, at = _string(body, 5)
        if extension not in _EXTENSIONS:
            raise Unknown
        if extension in _EXTENSIONS_OF_ALL:
            return Asked(kind=kind, id=id_, head=body)
    elif kind not in _BY_PATH and kind not in _BY_HANDLE and kind not in _BY_PATHS:
        raise Unknown
    head = body[:at]
    name, at = _string(body, at)
    names = [name]
    if extension == _COPY:  # from where, and how much
        between, at = body[at : at + 16], at + 16
    if extension == _COPY or extension in _EXTENSIONS_BY_PATHS or kind in _BY_PATHS:
        name, at = _string(body, at)
        names.append(name)
    return Asked(
        kind=kind,
        id=id_,
        head=head,
        names=tuple(names),
        between=between,
        rest=body[at:],
        has_handle=kind in _BY_HANDLE or extension == _COPY or extension in _EXTENSIONS_BY_HANDLE,
        is_target_first=kind == _SYMLINK,
    )


def _string(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + int.from_bytes(body[at : at + 4], "big")
    if at + 4 > len(body) or end > len(body):
        raise Malformed
    return body[at + 4 : end], end


def string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def end(buffer: bytearray, begin: int = 0) -> int:
    """Where the packet ends that begins there; 0 when it is not all there. Raises Malformed."""
    if len(buffer) < begin + 4:
        return 0
    length = int.from_bytes(buffer[begin : begin + 4], "big")
    if not 0 < length <= LARGEST:
        raise Malformed
    at = begin + 4 + length
    return at if at <= len(buffer) else 0


_HANDLE_AT = 13
"""In a packet that begins with length, type, id and the length of a handle."""


def id_at(buffer: bytearray, begin: int) -> bytes:
    """The id of the packet there, which has one."""
    return bytes(buffer[begin + 5 : begin + 9])


def first_of_handle(buffer: bytearray, begin: int, end: int) -> int:
    """The first byte of the handle that the packet there names; -1 for a packet without one."""
    at = begin + _HANDLE_AT
    if end <= at or buffer[begin + 4] not in _BY_HANDLE:
        return -1
    length = int.from_bytes(buffer[at - 4 : at], "big")
    return buffer[at] if 1 <= length <= end - at else -1


def path(buffer: bytearray, begin: int, end: int) -> bytes:
    """The path that the packet there names, if that is one path alone; b"" for another packet."""
    at = begin + _HANDLE_AT
    if end < at or buffer[begin + 4] not in _BY_PATH:
        return b""
    length = int.from_bytes(buffer[at - 4 : at], "big")
    return bytes(buffer[at : at + length]) if length <= end - at else b""


def without_first_of_handle(buffer: bytearray, begin: int, end: int, to: bytearray) -> None:
    """Add that packet to `to` without this byte."""
    at = begin + _HANDLE_AT
    to += struct.pack(">I", end - begin - 5)
    to += buffer[begin + 4 : begin + 9]
    to += struct.pack(">I", int.from_bytes(buffer[at - 4 : at], "big") - 1)
    with memoryview(buffer) as view:
        to += view[at + 1 : end]


def version(body: bytes) -> bytes:
    """The VERSION of a session for the client: with the extensions that we know. Raises Malformed."""
    kept, at = body[:5], 5
    while at < len(body):
        name, after = _string(body, at)
        _, after = _string(body, after)
        kept += body[at:after] if name in _EXTENSIONS else b""
        at = after
    return framed(kept)


def status(id_: bytes, code: int, message: str = "") -> bytes:
    return framed(bytes([STATUS]) + id_ + struct.pack(">I", code) + string(message.encode()) + string(b""))


def handle(id_: bytes, content: bytes) -> bytes:
    return framed(bytes([HANDLE]) + id_ + string(content))


def names(id_: bytes, entries: list[tuple[bytes, bytes]]) -> bytes:
    """A directory's `entries`: names, with attributes as ATTRS has them."""
    words = b"".join(string(name) + string(_long(name, attributes)) + attributes for name, attributes in entries)
    return framed(bytes([NAME]) + id_ + struct.pack(">I", len(entries)) + words)


_SIZE, _OWNER, _MODE, _TIMES = 1, 2, 4, 8


def _long(name: bytes, attributes: bytes) -> bytes:
    """A directory's line of `ls -l`, which some clients show as it is."""
    (flags,), at = struct.unpack_from(">I", attributes), 4
    size, mode, modified = 0, 0o700, 0
    if flags & _SIZE:
        (size,), at = struct.unpack_from(">Q", attributes, at), at + 8
    if flags & _OWNER:
        at += 8
    if flags & _MODE:
        (mode,), at = struct.unpack_from(">I", attributes, at), at + 4
    if flags & _TIMES:
        _, modified = struct.unpack_from(">II", attributes, at)
    when = time.strftime("%b %e  %Y", time.gmtime(modified))
    letters = "".join(char if mode >> 8 - bit & 1 else "-" for bit, char in enumerate("rwxrwxrwx"))
    return f"d{letters}    1 enc      enc      {size:8} {when} ".encode() + name
