"""SFTP's packets (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL), as far as they tell where a request goes."""

from __future__ import annotations

import struct
import time

from gateway.base.records import Record

LARGEST = 256 * 1024
"""Bytes of a packet, as OpenSSH's sftp-server has it."""

INIT, VERSION, CLOSE, WRITE, OPENDIR, READDIR, READ = 1, 2, 4, 6, 11, 12, 5
STATUS, HANDLE, NAME, ATTRS, EXTENDED_REPLY = 101, 102, 104, 105, 201
EOF, NO_SUCH_FILE, FAILURE, BAD_MESSAGE, UNSUPPORTED = 1, 2, 4, 5, 8
LSTAT = 7

_BY_PATH = frozenset((3, 7, 9, 11, 13, 14, 15, 16, 17, 19))
_BY_HANDLE = frozenset((4, 5, 6, 8, 10, 12))
_RENAME, _SYMLINK, _EXTENDED = 18, 20, 200

LIMITS = b"limits@openssh.com"
EXTENSIONS = {
    b"posix-rename@openssh.com": b"1",
    b"statvfs@openssh.com": b"2",
    b"fstatvfs@openssh.com": b"2",
    b"hardlink@openssh.com": b"1",
    b"fsync@openssh.com": b"1",
    b"lsetstat@openssh.com": b"1",
    LIMITS: b"1",
    b"expand-path@openssh.com": b"1",
}
_EXTENSIONS_BY_PATH = frozenset((b"statvfs@openssh.com", b"lsetstat@openssh.com", b"expand-path@openssh.com"))
_EXTENSIONS_BY_PATHS = frozenset((b"posix-rename@openssh.com", b"hardlink@openssh.com"))
_EXTENSIONS_BY_HANDLE = frozenset((b"fstatvfs@openssh.com", b"fsync@openssh.com"))


class Malformed(ValueError):
    """A packet that SFTP does not have."""


class Unknown(ValueError):
    """A request that we do not lead anywhere."""


class Asked(Record):
    """A request in parts: `head` is what comes before its paths or handle (with the type and the id), `names` are its
    paths, or its one handle, and `rest` is what follows. `is_target_first`: the first path of two is only text.
    """

    kind: int
    id: bytes
    head: bytes
    names: tuple[bytes, ...]
    rest: bytes
    has_handle: bool = False
    is_target_first: bool = False
    extension: bytes = b""

    def packet(self, names: tuple[bytes, ...]) -> bytes:
        """The whole of it with other paths, or another handle."""
        return framed(b"".join((self.head, *map(string, names), self.rest)))


def asked(body: bytes) -> Asked:
    """The request in the body of a packet. Raises Malformed, Unknown."""
    if len(body) < 5:
        raise Malformed
    kind, id_, head = body[0], body[1:5], body[:5]
    if kind in _BY_PATH or kind in _BY_HANDLE:
        name, at = _string(body, 5)
        return Asked(kind=kind, id=id_, head=head, names=(name,), rest=body[at:], has_handle=kind in _BY_HANDLE)
    if kind in (_RENAME, _SYMLINK):
        first, at = _string(body, 5)
        second, at = _string(body, at)
        both = (first, second)
        return Asked(kind=kind, id=id_, head=head, names=both, rest=body[at:], is_target_first=kind == _SYMLINK)
    if kind != _EXTENDED:
        raise Unknown
    extension, at = _string(body, 5)
    head = body[:at]
    if extension == LIMITS:
        return Asked(kind=kind, id=id_, head=head, names=(), rest=b"", extension=extension)
    names: list[bytes] = []
    count = 2 if extension in _EXTENSIONS_BY_PATHS else 1
    if extension not in _EXTENSIONS_BY_PATH | _EXTENSIONS_BY_PATHS | _EXTENSIONS_BY_HANDLE:
        raise Unknown
    for _ in range(count):
        name, at = _string(body, at)
        names.append(name)
    has_handle = extension in _EXTENSIONS_BY_HANDLE
    return Asked(
        kind=kind,
        id=id_,
        head=head,
        names=tuple(names),
        rest=body[at:],
        has_handle=has_handle,
        extension=extension,
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


def take(buffer: bytearray) -> bytes | None:
    """The body of the first packet in `buffer`, which is removed there; None when it is not all there. Raises
    Malformed.
    """
    at = end(buffer)
    if not at:
        return None
    body = bytes(memoryview(buffer)[4:at])
    del buffer[:at]
    return body


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


def data_handle(buffer: bytearray, at: int) -> int:
    """The first byte of the handle of a READ or WRITE whose packet ends `at`; -1 for anything else."""
    if at <= _HANDLE_AT or buffer[4] not in (READ, WRITE):
        return -1
    length = int.from_bytes(buffer[9:_HANDLE_AT], "big")
    return buffer[_HANDLE_AT] if 1 <= length <= at - _HANDLE_AT else -1


def pass_on(buffer: bytearray, at: int, to: bytearray) -> None:
    """Move the packet that ends `at` from `buffer` to `to`, without the first byte of its handle."""
    to += struct.pack(">I", at - 5)
    to += buffer[4:9]
    to += struct.pack(">I", int.from_bytes(buffer[9:_HANDLE_AT], "big") - 1)
    with memoryview(buffer) as view:
        to += view[_HANDLE_AT + 1 : at]
    del buffer[:at]


def version() -> bytes:
    """The answer to INIT: version 3, and what we lead on of OpenSSH's extensions."""
    words = b"".join(string(name) + string(number) for name, number in EXTENSIONS.items())
    return framed(struct.pack(">BI", VERSION, 3) + words)


def limits(id_: bytes) -> bytes:
    """OpenSSH's: a packet, what can be read and written at once, and handles (0: not said)."""
    return framed(bytes([EXTENDED_REPLY]) + id_ + struct.pack(">QQQQ", LARGEST, LARGEST - 1024, LARGEST - 1024, 0))


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
