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

from gateway.base import codec
from gateway.base.records import Fd, Record
from gateway.errors import EncError, Internal
from gateway.identity.names import Principal, ProjectName, SessionId, SharedName, SlotName
from gateway.sandbox.limits import Limits
from gateway.session import channel, protocol
from gateway.session.protocol import (
    Attach,
    Cgroup,
    Done,
    Execute,
    Exited,
    Failed,
    Lock,
    Malformed,
    Message,
    NewTerminal,
    Stdio,
    Terminal,
    Unlock,
    decode,
    encode,
)

FINGERPRINT = "SHA256:" + "A/+" * 14 + "A"

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True).filter(lambda name: ".." not in name)
TYPES: dict[str, st.SearchStrategy[object]] = {
    "str": TEXT,
    "int": st.integers(),
    "bool": st.booleans(),
    "Word": WORDS,
    "Fd": st.integers(0, 1000).map(Fd),
    "Principal": NAMES.map(Principal.of) | st.just(Principal.of_fingerprint(FINGERPRINT)),
    "Named": NAMES.map(ProjectName.of) | st.just(SharedName.of("alice/p")),
    "ProjectName": NAMES.map(ProjectName.of),
    "SlotName": NAMES.map(SlotName.of),
    "SessionId": st.from_regex(r"s-[0-9a-f]{12}", fullmatch=True).map(SessionId.of),
    "tuple[Fd, ...]": st.lists(st.integers(0, 1000).map(Fd), max_size=4).map(tuple),
    "tuple[Word, ...]": st.lists(WORDS, max_size=4).map(tuple),
}

KINDS = [pytest.param(kind, id=name) for name, kind in protocol._KINDS.items()]


def of_annotation(annotation: str) -> st.SearchStrategy[object]:
    if annotation.endswith(" | None"):
        return st.none() | of_annotation(annotation.removesuffix(" | None"))
    known = protocol.words().get(annotation)
    return fields_of(known).map(lambda values: known(**values)) if isinstance(known, type) else TYPES[annotation]


def fields_of(kind: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: of_annotation(annotation) for name, annotation in kind._fields.items()})


def message_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    return fields_of(kind).map(lambda values: kind(**values))


def json_of(message: Message, **changes: object) -> bytes:
    return json.dumps({**json.loads(encode(message)[0]), **changes}).encode()


STDIO = Stdio(stdin=Fd(0), stdout=Fd(1), stderr=Fd(2))
ATTACH = Attach(
    principal=Principal("dev1"),
    origin="192.0.2.7:5",
    project=ProjectName("p"),
    program="rsync",
    arguments=("-a", "p/"),
    patterns=(),
    traffic=None,
    stdio=STDIO,
)
LOCK = Lock(principal=Principal("dev1"), origin="192.0.2.7:5", project=ProjectName("p"))
UNLOCK = Unlock(
    principal=Principal("dev1"),
    origin="",
    project=ProjectName("p"),
    called=ProjectName("p"),
    slot=SlotName("passphrase"),
    slot_kind="passphrase",
    slot_id="0123456789abcdef",
    secret=Fd(0),
    attempt=Fd(1),
    place=Fd(2),
)
EXECUTE = Execute(
    principal=Principal("dev1"),
    origin="192.0.2.7:5",
    project=ProjectName("p"),
    label="run",
    arguments=("make",),
    directory="/projects/p",
    paths=("/opt",),
    seconds=5,
    limits=Limits(processes=1, memory=2, cpu=3, file_size=4, tmpfs=5),
    filter=Fd(0),
    traffic=Fd(9),
    network=Fd(1),
    cgroup=Cgroup(enter=Fd(2), leave=Fd(3)),
    terminal=NewTerminal(type="xterm", rows=24, columns=80),
    stdio=STDIO,
)
LIMITS = EXECUTE.limits.as_dict()
WIDEST = (*Execute._fields, *Unlock._fields)
FDS = [Fd(1000 + number) for number in range(len(encode(EXECUTE)[1]))]


def plain(value: object) -> object:
    """As JSON has it, descriptors by number."""
    return codec.fields(value) if isinstance(value, Record) else value


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
    message = data.draw(message_of(kind))
    got = decode(*encode(message))
    assert got == message
    values: dict[str, Any] = message.as_dict()
    assert {name: type(value) for name, value in got.as_dict().items()} == {
        name: type(value) for name, value in values.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_an_unknown_or_missing_field_refuses_the_whole_message(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(message_of(kind))
    packet, fds = encode(message)
    for extra in ("x", "_fields", "uid"):
        with pytest.raises(Malformed):
            decode(json_of(message, **{extra: "x"}), fds)
    for name in kind._fields:
        values = json.loads(packet)
        del values[name]
        for left in (fds, fds[:-1], []):
            with pytest.raises(Malformed):
                decode(json.dumps(values).encode(), left)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([*protocol._KINDS, "Message", "Request"]) | JSON,
        **{
            name: of_annotation(annotation).map(plain) | JSON
            for kind in protocol._KINDS.values()
            for name, annotation in kind._fields.items()
        },
    },
)


MESSAGES: st.SearchStrategy[Message] = st.one_of([message_of(kind) for kind in protocol._KINDS.values()])
CHANGES = st.dictionaries(st.sampled_from([*WIDEST, "kind", "x"]), st.integers(-1, 8) | JSON, max_size=2)
CHANGED = st.tuples(MESSAGES, CHANGES).map(lambda drawn: json_of(drawn[0], **drawn[1]))
PACKETS = st.binary() | JSON.map(json.dumps).map(str.encode) | NEARLY.map(json.dumps).map(str.encode) | CHANGED


@given(PACKETS, st.integers(0, 8))
def test_whatever_comes_is_a_message_or_malformed(packet: bytes, count: int) -> None:
    fds = [Fd(1000 + number) for number in range(count)]
    try:
        message = decode(packet, fds)
    except Malformed as error:
        assert str(error) == "not a message of this protocol"
    else:
        assert decode(*encode(message)) == message
        assert message.as_dict().keys() == set(type(message)._fields)
        assert sorted(codec.descriptors(message)) == fds, "each of them once"


# Of the descriptors that could come there are as many as it needs among them: it is not refused for those.
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
        pytest.param(json_of(EXECUTE, directory="/projects/p\0"), id="a directory with a NUL"),
        pytest.param(json_of(EXECUTE, terminal={"type": "x\0", "rows": 1, "columns": 1}), id="a TERM with a NUL"),
        pytest.param(json_of(EXECUTE, terminal={"type": "x", "rows": True, "columns": 1}), id="rows that are true"),
        pytest.param(json_of(EXECUTE, terminal=""), id="a terminal that is a string"),
        pytest.param(json_of(EXECUTE, limits=None), id="no limits"),
        pytest.param(json_of(EXECUTE, limits=[1, 2, 3, 4, 5]), id="limits that are a list"),
        pytest.param(json_of(EXECUTE, limits={**LIMITS, "cpu": None}), id="a limit that is null"),
        pytest.param(json_of(EXECUTE, limits={**LIMITS, "swap": 1}), id="a limit that there is not"),
        pytest.param(json_of(EXECUTE, limits={"cpu": 1}), id="a limit that is missing"),
        pytest.param(json_of(EXECUTE, paths=["/opt", None]), id="a path that is null"),
    ],
)
def test_refuses(packet: bytes) -> None:
    for count in range(len(FDS) + 1):
        with pytest.raises(Malformed):
            decode(packet, FDS[:count])


def test_what_is_refused_is_refused_for_what_is_wrong_in_it() -> None:
    for message in (LOCK, UNLOCK, ATTACH, EXECUTE, Exited(status=0)):
        assert type(decode(json_of(message), FDS[: len(encode(message)[1])])) is type(message)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"secret": 1}, id="twice the same"),
        pytest.param({"secret": 3}, id="one that did not come"),
        pytest.param({"secret": -1}, id="counted from the end"),
        pytest.param({"secret": None}, id="none where one is needed"),
        pytest.param({"secret": "0"}, id="a string"),
        pytest.param({"secret": 0.0}, id="a fraction"),
        pytest.param({"secret": False}, id="a truth value"),
        pytest.param({"secret": [0]}, id="a list"),
    ],
)
def test_refuses_what_names_no_descriptor_of_the_packet(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        decode(json_of(UNLOCK, **change), FDS[:3])


def test_a_field_has_the_descriptor_that_it_names() -> None:
    got = decode(json_of(UNLOCK, secret=2, attempt=0, place=1), FDS[:3])
    assert isinstance(got, Unlock)
    assert (got.secret, got.attempt, got.place) == (FDS[2], FDS[0], FDS[1])


@pytest.mark.parametrize(("name", "fewer"), [("network", 1), ("cgroup", 2), ("stdio", 3), ("terminal", 0)])
def test_for_what_a_message_has_not_no_descriptor_comes(name: str, fewer: int) -> None:
    without = EXECUTE.replace(**{name: None})
    packet, fds = encode(without)
    assert len(fds) == len(FDS) - fewer
    assert decode(packet, fds) == without
    if fewer:
        with pytest.raises(Malformed):
            decode(packet, FDS)


def test_one_descriptor_can_be_two_of_a_message() -> None:
    packet, fds = encode(ATTACH.replace(stdio=STDIO.replace(stderr=Fd(1))))
    assert fds == [0, 1, 1]
    got = decode(packet, FDS[:3])
    assert isinstance(got, Attach)
    assert got.stdio == Stdio(stdin=FDS[0], stdout=FDS[1], stderr=FDS[2])


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in EncError.__subclasses__()])
@pytest.mark.parametrize("hint", ["", "do that"])
def test_an_error_arrives_as_the_same_error(kind: type[EncError], hint: str) -> None:
    reply = decode(*encode(protocol.failed(kind("it is so", hint))))
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
    sent = UNLOCK.replace(secret=Fd(reader), attempt=Fd(writer))
    channel.send(left, sent)
    os.close(reader)
    os.close(writer)
    message = channel.receive(right)
    assert isinstance(message, Unlock)
    with message:
        assert message == sent.replace(secret=message.secret, attempt=message.attempt, place=message.place)
        reader, writer = message.secret, message.attempt
        assert not os.get_inheritable(reader) and not os.get_inheritable(writer)
        os.write(writer, b"secret\n")
        assert os.read(reader, 100) == b"secret\n"


@pytest.mark.parametrize("message", [UNLOCK, ATTACH, EXECUTE, Terminal(controller=Fd(0)), LOCK], ids=repr)
def test_whoever_receives_a_message_closes_all_that_came_by_leaving_it(
    pair: tuple[socket.socket, socket.socket], message: Message
) -> None:
    left, right = pair
    before = descriptors()
    with open(os.devnull) as file:
        socket.send_fds(left, [encode(message)[0]], [file.fileno()] * len(encode(message)[1]))
    with pytest.raises(ZeroDivisionError):
        received = channel.receive(right)
        assert received is not None
        with received:
            assert len(descriptors() - before) == len(encode(message)[1])
            raise ZeroDivisionError
    assert descriptors() == before


def test_the_end_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    channel.send(left, Done())
    left.close()
    assert channel.receive(right) == Done()
    assert channel.receive(right) is None


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        pytest.param(b"{}", 1, id="malformed, with one"),
        pytest.param(b"\xff", 3, id="malformed, with as many as there may be"),
        pytest.param(encode(UNLOCK)[0], channel.MOST_FDS + 1, id="one too many"),
        pytest.param(encode(UNLOCK)[0], 50, id="very many"),
        pytest.param(b" " * (channel.LARGEST + 1), 2, id="too large"),
        pytest.param(encode(Done())[0] + b" " * channel.LARGEST, 2, id="too large behind a good message"),
        pytest.param(b"[" * 60_000, 3, id="nested deeply"),
        pytest.param(encode(LOCK)[0], 1, id="with one, and needs none"),
        pytest.param(encode(Done())[0], 3, id="an answer that needs none"),
        pytest.param(encode(UNLOCK)[0], 2, id="with one less than it needs"),
        pytest.param(encode(UNLOCK)[0], 4, id="with one more than it needs"),
        pytest.param(json_of(UNLOCK, secret=1), 3, id="with one that it does not name"),
        pytest.param(json_of(UNLOCK, project="../x"), 3, id="wrong in what it names after them"),
        pytest.param(json_of(UNLOCK, x=1), 3, id="with all that it needs, and a field too many"),
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
    channel.send(left, message)
    received = channel.receive(right)
    assert isinstance(received, Attach)
    with received:
        assert received == message.replace(stdio=received.stdio)


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
            assert channel.receive(accepted) == LOCK
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
