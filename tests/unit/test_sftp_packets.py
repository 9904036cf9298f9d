"""SFTP in the front: where a request goes is read from bytes that a client chose."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rshell.session.sftp import packets
from rshell.session.sftp.names import located
from rshell.session.sftp.router import is_plain

PARTS = ["/", "projects", "p", "q", ".", "..", "...", "p.q", "P", "", "~", "é"]
PATHS = st.builds(
    lambda first, parts: first + "".join(parts),
    st.sampled_from(["", "/", "/projects/", "/projects/p/", "p/"]),
    st.lists(st.sampled_from(PARTS), max_size=8),
)


@given(PATHS)
@example("/projects/p/../q")
@example("/projects/p/..")
@example("/projects//p")
def test_a_path_that_goes_on_as_it_is_is_of_that_project(path: str) -> None:
    wire = path.encode()
    project, whole = located(wire, {})
    if is_plain(wire, {b"p"}):
        assert project == "p"
        assert os.path.normpath(whole) == os.path.normpath(wire)


FIELDS = [b"", b"p/f", b"\0\0\0\0", b"\1\0\0\0\0", b"copy-data", b"hardlink@openssh.com", b"\xff" * 20]
REQUESTS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda kind, fields: bytes([kind]) + b"\0\0\0\1" + b"".join(map(packets.string, fields)),
        st.sampled_from([3, 4, 5, 6, 8, 11, 14, 16, 17, 18, 20, 200, 255]),
        st.lists(st.sampled_from(FIELDS), max_size=4),
    ),
)


@given(REQUESTS)
def test_a_request_is_read_or_refused_and_what_is_read_is_the_same_packet(body: bytes) -> None:
    with contextlib.suppress(packets.Malformed, packets.Unknown):
        asked = packets.asked(body)
        assert asked.packet(asked.names) == packets.framed(body)
    buffer = bytearray(packets.framed(body))
    if body:
        assert packets.end(buffer) == len(buffer)
        assert -1 <= packets.first_of_handle(buffer, 0, len(buffer)) <= 255
        assert packets.path(buffer, 0, len(buffer)) in body


@given(REQUESTS, st.binary(max_size=20))
def test_a_handle_loses_the_byte_in_front(body: bytes, before: bytes) -> None:
    buffer = bytearray(before + packets.framed(body))
    to = bytearray()
    if body and packets.first_of_handle(buffer, len(before), len(buffer)) >= 0:
        packets.without_first_of_handle(buffer, len(before), len(buffer), to)
        length = int.from_bytes(body[5:9], "big")
        short = body[:5] + (length - 1).to_bytes(4, "big") + body[10:]
        assert bytes(to) == packets.framed(short)


@pytest.mark.parametrize("body", [b"\2\0\0\0\3", b"\2\0\0\0\3" + packets.string(b"x") + packets.string(b"1")])
def test_the_client_is_told_of_no_extension_that_we_cannot_lead(body: bytes) -> None:
    known = packets.string(b"statvfs@openssh.com") + packets.string(b"2")
    assert packets.version(body + known) == packets.framed(b"\2\0\0\0\3" + known)
    with pytest.raises(packets.Malformed):
        packets.version(body + known[:-1])
