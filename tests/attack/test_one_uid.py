"""Two principals on one gateway are one account of the host: what keeps them apart, looked at from outside, as root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.identity.names import Principal
from tests.harness import Gateway, Person, bindir, is_watchdog, need_root, parent
from tests.life import session

NAMESPACES = ("mnt", "user", "pid", "net", "ipc", "uts", "cgroup")

Pair = tuple[Person, Person]


@pytest.fixture(scope="module")
def pair(gateway: Gateway) -> Iterator[Pair]:
    """Two people with a project of the same name, both unlocked."""
    need_root()
    one, other = gateway.person("one-of-two"), gateway.person("other-of-two")
    for who in (one, other):
        who.new("work")
    with one.mounted("work"), other.mounted("work"):
        yield one, other


def record(who: Person) -> dict[str, object]:
    """The session of `who`, as it lies in the run directory."""
    (found,) = [one for one in who.gateway.sessions() if one["principal"] == who.fingerprint]
    return found


def session_directory(who: Person) -> Path:
    return who.gateway.root / "run" / "sessions" / who.vault("work").parent.name / str(record(who)["id"])


def warden(who: Person) -> int:
    return int(str(record(who)["pid"]))


def members(who: Person) -> set[int]:
    """The processes of a session, but its watchdog: they share its warden's pid namespace, or are below it."""
    top = parent(warden(who))
    found = {top}
    while more := {pid for pid in who.gateway.processes() if _parent(pid) in found} - found:
        found |= more
    return {pid for pid in found - {top} if not is_watchdog(pid)}


def _namespaces(who: Person) -> set[str]:
    """The pid namespaces of a session."""
    found = set()
    for pid in members(who):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended since it was listed
            found.add(os.readlink(f"/proc/{pid}/ns/pid"))
    return found


def _parent(pid: int) -> int:
    try:
        return parent(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def test_two_sessions_have_no_namespace_in_common(pair: Pair) -> None:
    one, other = ({name: os.readlink(f"/proc/{warden(who)}/ns/{name}") for name in NAMESPACES} for who in pair)
    assert not {name for name in NAMESPACES if one[name] == other[name]}


def test_no_process_of_one_session_is_to_be_seen_in_the_other(pair: Pair) -> None:
    """In its /proc: what is not there cannot be named to kill, ptrace or process_vm_readv."""
    one, other = pair
    clients = [who.sftp_terminal() for who in pair]
    try:
        for who, stranger in ((one, other), (other, one)):
            shown = Path(f"/proc/{warden(who)}/root/proc")
            lines = set()
            for name in filter(str.isdigit, os.listdir(shown)):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended since it was listed
                    lines.add((shown / name / "cmdline").read_bytes())
            assert any(b"sftp-server" in line for line in lines)
            vault = str(stranger.vault("work").parent).encode()
            assert not [line for line in lines if vault in line]
            assert _namespaces(who) and not _namespaces(who) & _namespaces(stranger)
    finally:
        for client in clients:
            client.close()


def test_a_session_has_the_vaults_and_the_record_of_its_principal_alone(pair: Pair) -> None:
    for who in pair:
        root = Path(f"/proc/{warden(who)}/root")
        own = who.vault("work").parent
        assert os.path.samefile(root / "vaults", own)
        assert os.path.samefile(root / "session", session_directory(who))
        assert not os.path.lexists(root / str(who.gateway.root).lstrip("/") / "vaults")
        assert not os.path.lexists(root / str(who.gateway.root).lstrip("/") / "run")


def test_two_sessions_share_no_directory_that_both_may_write_but_that_of_the_audit(pair: Pair) -> None:
    writable = []
    for who in pair:
        lines = Path(f"/proc/{warden(who)}/mountinfo").read_text().splitlines()
        rows = [line.split() for line in lines]
        writable.append({(row[2], row[3], row[4]) for row in rows if "rw" in row[5].split(",")})
    shared = {place for _device, _root, place in writable[0] & writable[1]}
    nodes = {place for place in shared if place.startswith("/dev/")}  # devices, and not files
    assert shared - nodes == {"/audit"}


def test_what_both_have_of_devices_keeps_nothing(pair: Pair) -> None:
    pts = {os.stat(f"/proc/{warden(who)}/root/dev/pts").st_dev for who in pair}
    assert len(pts) == 2, "terminals of one's own"
    for who in pair:
        assert set(os.listdir(f"/proc/{warden(who)}/root/dev")) == {
            *("null", "zero", "full", "random", "urandom", "tty", "fuse", "pts")
        }


FORGED = """
import sys
sys.path.insert(0, sys.argv[1])
from gateway.base.records import Fd
from gateway.identity.names import Principal, ProjectName
from gateway.session import channel, protocol
principal = Principal(sys.argv[3])
stdio = protocol.Stdio(stdin=Fd(0), stdout=Fd(1), stderr=Fd(2))
for kind in (
    lambda about: protocol.Ask(**about),
    lambda about: protocol.Touch(**about),
    lambda about: protocol.Lock(project=ProjectName("work"), **about),
    lambda about: protocol.Close(reason="logout", **about),
    lambda about: protocol.Attach(
        project=None, program="sftp-server", arguments=(), patterns=(), traffic=None, stdio=stdio, **about
    ),
):
    with channel.connect(sys.argv[2], "sock") as link:
        channel.send(link, kind({"principal": principal, "origin": "x"}))
        reply = channel.receive(link)
        print(type(reply).__name__, getattr(reply, "slug", ""))
"""


NOISE = r"""
import sys
sys.path.insert(0, sys.argv[1])
from gateway.session import channel
for packet in (b"{", b"\xff", b'{"kind": "x', b"[]", b'{"kind": "Lock", "project": "../x"}', b"0" * 65000):
    with channel.connect(sys.argv[2], "sock") as link:
        link.send(packet)
"""


STRAY = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from gateway.identity.names import Principal
from gateway.session import channel, protocol
packet, _ = protocol.encode(protocol.Touch(principal=Principal(sys.argv[3]), origin="x"))
for count in (1, 7, 200):
    with channel.connect(sys.argv[2], "sock") as link:
        socket.send_fds(link, [packet], [0] * count)
        print(channel.receive(link))
"""


def test_a_warden_answers_no_front_of_another_principal(pair: Pair) -> None:
    """A front that was made to connect to another's session, as the account itself."""
    one, other = pair
    gateway = one.gateway
    where = str(session_directory(one))
    said = gateway.as_account("/usr/bin/python3", "-I", "-c", FORGED, _code(), where, other.fingerprint)
    assert said.out.splitlines() == ["Failed denied"] * 5, said
    assert one.sftp("ls work").status == 0


def _code() -> str:
    """Where the account can read the code from: the installation."""
    return str(next(bindir().parent.glob("lib/python*/site-packages")))


def test_what_is_no_message_of_the_protocol_ends_no_session(pair: Pair) -> None:
    one, _ = pair
    where = str(session_directory(one))
    said = one.gateway.as_account("/usr/bin/python3", "-I", "-c", NOISE, _code(), where)
    assert said.status == 0, said
    assert one.sftp("ls work").status == 0
    assert one.gateway.events("fault") == []


def test_a_session_that_hangs_holds_up_nobody_else(gateway: Gateway, pair: Pair) -> None:
    one, other = pair
    os.kill(warden(one), 19)  # SIGSTOP: it answers nobody
    try:
        assert other.ssh("status").status == 0
        assert other.sftp("ls work").status == 0
        assert gateway.person(f"{one.name}-third").ssh("ls").status == 0
    finally:
        os.kill(warden(one), 18)


def test_the_sizes_and_times_that_one_is_shown_are_ones_own(pair: Pair, tmp_path: Path) -> None:
    one, other = pair
    (tmp_path / "big").write_bytes(os.urandom(3_000_000))
    before = other.ssh("ls", "--json").json
    assert one.sftp(f"put {tmp_path}/big work/big").status == 0
    assert other.ssh("ls", "--json").json == before
    assert other.ssh("status", "--json").json["sessions"] != one.ssh("status", "--json").json["sessions"]


def test_failures_of_one_are_no_wait_of_another(gateway: Gateway, person: Person) -> None:
    other = gateway.person(f"{person.name}-other")
    for one in (person, other):
        one.new("work")
    for _ in range(2):
        assert person.ssh("mount", "work", stdin="wrong guess here\n").status == 77
    assert "waiting" not in other.ssh("mount", "work", stdin="wrong guess here\n").err
    turns = {path.name for path in (gateway.root / "run" / "attempts").iterdir()}
    assert {Principal.of_fingerprint(one.fingerprint).directory for one in (person, other)} <= turns


@pytest.mark.alone  # other tests leave files of the account there for a moment
def test_nothing_of_the_account_is_left_where_every_account_writes(gateway: Gateway, person: Person) -> None:
    """/tmp, /var/tmp and /dev/shm of the host: but for sshd's own file, which says which key it was."""
    need_root()
    uid = os.stat(gateway.vaults).st_uid

    def own() -> set[str]:
        places = [Path(place) for place in ("/tmp", "/var/tmp", "/dev/shm")]
        return {str(path) for place in places for path in place.iterdir() if _owner(path) == uid}

    before = own()
    person.new("work")
    with session(person) as (_, shared):
        assert person.ssh("mount", "work", stdin="x\n", extra=shared).status == 77
        made = {Path(path).name for path in own() - before}
        assert all(name.startswith("sshauth.") for name in made), made


def _owner(path: Path) -> int:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return -1


def test_descriptors_that_a_request_does_not_name_are_not_kept_by_the_session(pair: Pair) -> None:
    one, _ = pair
    where = str(session_directory(one))
    before = len(os.listdir(f"/proc/{warden(one)}/fd"))
    said = one.gateway.as_account("/usr/bin/python3", "-I", "-c", STRAY, _code(), where, one.fingerprint)
    assert said.out.splitlines() == ["None"] * 3, said
    assert len(os.listdir(f"/proc/{warden(one)}/fd")) == before
    assert one.sftp("ls work").status == 0
