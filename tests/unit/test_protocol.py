"""Messages between a front and a warden: what is said is what is understood, and nothing else is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import EncError, Internal
from gateway.identity.names import Principal, ProjectName, SlotName
from gateway.session import channel, protocol
from gateway.session.protocol import Attach, Done, Exited, Failed, Lock, Malformed, Message, Unlock, decode, encode

FINGERPRINT = "SHA256:" + "A/+" * 14 + "A"

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True).filter(lambda name: ".." not in name)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "principal": NAMES.map(Principal.of) | st.just(Principal.of_fingerprint(FINGERPRINT)),
    "project": NAMES.map(ProjectName.of),
    "slot": NAMES.map(SlotName.of),
    "arguments": st.lists(WORDS, max_size=4).map(tuple),
    **dict.fromkeys(protocol._NUMBERS, st.integers()),
    "paths": st.lists(WORDS, max_size=2).map(tuple),
}

KINDS = [pytest.param(kind, id=name) for name, kind in protocol._KINDS.items()]


def fields_of(kind: type[Message]) -> dict[str, st.SearchStrategy[object]]:
    """A strategy for each field; those that are not typed further are texts."""
    return {name: FIELDS.get(name, TEXT) for name in kind._fields}


def json_of(message: Message, **changes: object) -> bytes:
    return json.dumps({**json.loads(encode(message)), **changes}).encode()


ATTACH = Attach(principal=Principal("dev1"), origin="192.0.2.7:5", program="rsync", arguments=("-a", "p/"))
LOCK = Lock(principal=Principal("dev1"), origin="192.0.2.7:5", project=ProjectName("p"))
UNLOCK = Unlock(principal=Principal("dev1"), origin="", project=ProjectName("p"), slot=SlotName("passphrase"))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        right.settimeout(10)
        yield left, right


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_every_kind_of_message_is_known() -> None:
    def below(kind: type[Message]) -> set[type[Message]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert set(protocol._KINDS.values()) == {kind for kind in below(Message) if not kind.__subclasses__()}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_message_arrives_as_it_was_sent(kind: type[Message], data: st.DataObject) -> None:
    message = kind(**data.draw(st.fixed_dictionaries(fields_of(kind))))
    got = decode(encode(message))
    assert got == message
    values: dict[str, Any] = message.as_dict()
    assert {name: type(value) for name, value in got.as_dict().items()} == {
        name: type(value) for name, value in values.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_an_unknown_or_missing_field_refuses_the_whole_message(kind: type[Message], data: st.DataObject) -> None:
    message = kind(**data.draw(st.fixed_dictionaries(fields_of(kind))))
    for extra in ("x", "_fields", "uid"):
        with pytest.raises(Malformed):
            decode(json_of(message, **{extra: "x"}))
    for name in kind._fields:
        values = json.loads(encode(message))
        del values[name]
        with pytest.raises(Malformed):
            decode(json.dumps(values).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([*protocol._KINDS, "Message", "Request"]) | JSON,
        **{name: FIELDS.get(name, TEXT) | JSON for kind in protocol._KINDS.values() for name in kind._fields},
    },
)


@given(st.binary() | JSON.map(json.dumps).map(str.encode) | NEARLY.map(json.dumps).map(str.encode))
def test_whatever_comes_is_a_message_or_malformed(packet: bytes) -> None:
    try:
        message = decode(packet)
    except Malformed as error:
        assert str(error) == "not a message of this protocol"
    else:
        assert decode(encode(message)) == message
        assert message.as_dict().keys() == set(type(message)._fields)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no kind"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"kind":"Nothing"}', id="unknown kind"),
        pytest.param(b'{"kind":"Message"}', id="the base of all"),
        pytest.param(b'{"kind":"Malformed"}', id="a class that is no message"),
        pytest.param(b'{"kind":["Done"]}', id="a kind that is a list"),
        pytest.param(b'{"kind":null}', id="a kind that is null"),
        pytest.param(b'{"kind":"Done"} {"kind":"Done"}', id="two messages"),
        pytest.param(b"[" * 60_000, id="nested deeply"),
        pytest.param(b'{"kind":"Exited","status":' + b"9" * 5000 + b"}", id="a very long number"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(json_of(LOCK, project="../x"), id="a project that climbs"),
        pytest.param(json_of(LOCK, project=""), id="an empty project"),
        pytest.param(json_of(LOCK, project=["p"]), id="a project that is a list"),
        pytest.param(json_of(LOCK, project=None), id="a project that is null"),
        pytest.param(json_of(UNLOCK, slot=".x"), id="a slot that is hidden"),
        pytest.param(json_of(LOCK, principal="a/b"), id="a principal with a slash"),
        pytest.param(json_of(LOCK, principal="SHA256:../../etc"), id="a fingerprint that is none"),
        pytest.param(json_of(LOCK, principal="SHA256:" + "A" * 42 + "-"), id="a fingerprint in another alphabet"),
        pytest.param(json_of(ATTACH, arguments="-a"), id="arguments that are a string"),
        pytest.param(json_of(ATTACH, arguments=["-a", 1]), id="an argument that is a number"),
        pytest.param(json_of(ATTACH, arguments={"-a": "b"}), id="arguments that are an object"),
        pytest.param(json_of(ATTACH, arguments=["a\0b"]), id="an argument with a NUL, which execve cannot take"),
        pytest.param(json_of(ATTACH, arguments=["\ud800"]), id="an argument that is no text"),
        pytest.param(json_of(ATTACH, program=1), id="a program that is a number"),
        pytest.param(json_of(Exited(status=0), status="0"), id="a status that is a string"),
        pytest.param(json_of(Exited(status=0), status=True), id="a status that is a truth value"),
        pytest.param(json_of(Exited(status=0), status=0.0), id="a status with a fraction"),
    ],
)
def test_refuses(packet: bytes) -> None:
    with pytest.raises(Malformed):
        decode(packet)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in EncError.__subclasses__()])
@pytest.mark.parametrize("hint", ["", "do that"])
def test_an_error_arrives_as_the_same_error(kind: type[EncError], hint: str) -> None:
    reply = decode(encode(protocol.failed(kind("it is so", hint))))
    assert isinstance(reply, Failed)
    error = protocol.error_of(reply)
    assert type(error) is kind
    assert (str(error), error.hint, error.code) == ("it is so", hint, kind.code)


def test_an_error_of_an_unknown_name_is_internal() -> None:
    error = protocol.error_of(Failed(slug="Usage", message="it is so", hint=""))
    assert type(error) is Internal


def test_descriptors_arrive_with_the_message_and_are_not_inherited(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    reader, writer = os.pipe()
    channel.send(left, UNLOCK, [reader, writer])
    os.close(reader)
    os.close(writer)
    received = channel.receive(right)
    assert received is not None
    message, (reader, writer) = received
    assert message == UNLOCK
    assert not os.get_inheritable(reader) and not os.get_inheritable(writer)
    os.write(writer, b"secret\n")
    assert os.read(reader, 100) == b"secret\n"
    os.close(reader)
    os.close(writer)


def test_the_end_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    channel.send(left, Done())
    left.close()
    assert channel.receive(right) == (Done(), [])
    assert channel.receive(right) is None


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        pytest.param(b"{}", 1, id="malformed, with one"),
        pytest.param(b"\xff", 3, id="malformed, with as many as there may be"),
        pytest.param(encode(UNLOCK), channel.MOST_FDS + 1, id="one too many"),
        pytest.param(encode(UNLOCK), 50, id="very many"),
        pytest.param(b" " * (channel.LARGEST + 1), 2, id="too large"),
        pytest.param(encode(Done()) + b" " * channel.LARGEST, 2, id="too large behind a good message"),
        pytest.param(b"[" * 60_000, 3, id="nested deeply"),
    ],
)
def test_what_comes_with_a_malformed_packet_is_closed(
    pair: tuple[socket.socket, socket.socket], packet: bytes, count: int
) -> None:
    left, right = pair
    with open(os.devnull) as file:
        before = descriptors()
        socket.send_fds(left, [packet], [file.fileno()] * count)
        with pytest.raises(Malformed):
            channel.receive(right)
        assert descriptors() == before


def test_what_comes_with_an_empty_packet_is_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    before = descriptors()
    socket.send_fds(left, [b""], [0, 0])
    assert channel.receive(right) is None
    assert descriptors() == before


def test_the_longest_line_that_the_grammar_lets_through_fits_into_a_packet(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair
    message = ATTACH.replace(arguments=("\u00e9" * 4096,))  # MAX_LINE bytes, six for two when encoded
    channel.send(left, message, (0, 1, 2))
    received = channel.receive(right)
    assert received is not None and received[0] == message
    for fd in received[1]:
        os.close(fd)


def test_a_socket_is_reached_however_long_its_path_is_and_by_the_gateway_alone(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 200)
    directory.mkdir()
    before = descriptors()
    here = os.open(directory, os.O_PATH)
    with channel.listen(f"/proc/self/fd/{here}/sock") as listening:
        os.close(here)
        assert (directory / "sock").stat().st_mode & 0o777 == 0o600
        with channel.connect(str(directory), "sock") as link, listening.accept()[0] as accepted:
            channel.send(link, LOCK)
            assert channel.receive(accepted) == (LOCK, [])
    assert descriptors() == before


def test_nobody_there_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    before = descriptors()
    for name in ("none", "sock"):
        with pytest.raises(OSError):
            channel.connect(str(tmp_path), name)
        channel.listen(str(tmp_path / f"sock{name}")).close()
    with pytest.raises(OSError):
        channel.connect(str(tmp_path), "socknone")
    assert descriptors() == before
