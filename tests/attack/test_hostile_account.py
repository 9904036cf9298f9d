"""Code that runs as the gateway's account, and a sysadmin who is root: what it writes leads root nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Result, alive, bindir, need_root, run

FORGED = """
import fcntl, json, os, socket, struct, sys
for path, pid in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    os.makedirs(path)
    lock = os.open(path + "/lock", os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
    record = {"id": os.path.basename(path), "principal": os.path.basename(os.path.dirname(path)).removeprefix("u-")}
    record |= {"fingerprint": "", "address": "", "port": 1, "connection": "", "anchor": "session", "since": ""}
    with open(path + "/record.json", "w") as file:
        json.dump({**record, "pid": pid, "views": []}, file)
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.chdir(path)
    silent.bind("sock")
    silent.listen(0)
    os.dup(silent.fileno())
print("there", flush=True)
sys.stdin.read()
"""
"""Makes live sessions, each with a pid of one's choice and a socket at which nobody answers. They live until EOF."""


@pytest.fixture(autouse=True)
def as_root() -> None:
    need_root()


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process of root's that has nothing to do with the gateway."""
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def as_account(gateway: Gateway, *words: str) -> list[str]:
    account = str(gateway.ready["account"])
    return ["setpriv", "--reuid", account, "--regid", account, "--init-groups", *words]


def sessions(gateway: Gateway) -> Path:
    return gateway.root / "run" / "sessions"


class Forger:
    """A running FORGED."""

    def __init__(self, gateway: Gateway, **pids: int) -> None:
        """`pids`: the name of each session's principal, and the pid in its record."""
        words = []
        for number, (name, pid) in enumerate(pids.items()):
            words += [str(sessions(gateway) / f"u-{name}" / f"s-00000000000{number}"), str(pid)]
        self._process = subprocess.Popen(
            as_account(gateway, sys.executable, "-I", "-c", FORGED, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout and self._process.stdout.readline() == "there\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Forger:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("")


TRAPS = """
umask 077
cd "$0"
mkdir -p u-mallory && cd u-mallory
mkdir s-fifolock && mkfifo s-fifolock/lock s-fifolock/record.json
mkdir s-fiforecord && touch s-fiforecord/lock && mkfifo s-fiforecord/record.json
mkdir -p s-dirlock/lock s-dirrecord/record.json && touch s-dirrecord/lock
ln -s "$1" s-link
mkdir s-links && ln -s "$1/lock" s-links/lock && ln -s "$1/record.json" s-links/record.json
mkdir s-huge && touch s-huge/lock && truncate -s 1G s-huge/record.json
mkdir s-deep && touch s-deep/lock && head -c 200000 /dev/zero | tr '\\0' '[' >s-deep/record.json
mkdir -m 000 s-closed
touch s-file && mkfifo s-fifo
cd ..
ln -s "$2" u-link && mkfifo u-fifo s-fifo && mkdir -m 000 u-closed
for live in fifo:mkfifo huge:'truncate -s 1G' link:"ln -s $1/record.json"; do
    rm u-live${live%%:*}/s-*/record.json
    ${live#*:} u-live${live%%:*}/s-*/record.json 2>/dev/null || :
done
cd "$3/vaults"
ln -s "$2" u-link && mkfifo u-fifo && touch u-file && mkdir -m 000 u-closed
mkdir u-mallory && ln -s "$1" u-mallory/link && mkdir u-mallory/p && mkfifo u-mallory/p/vault.toml u-mallory/p/lock
cd "$3/enrolments"
mkfifo k-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA && ln -s "$1/lock" k-BBBB
"""
"""What the account can put among the sessions (as $0), the vaults and the keys that were handed in. $1 is a directory
of root's, which holds a `lock` and a `record.json`; $2 is the one above it, $3 that of the gateway.
"""


@pytest.fixture
def roots(ground: Path) -> Path:
    """A directory of root's that looks like a dead session."""
    path = ground / f"roots-{time.monotonic_ns()}" / "s-0123456789ab"
    path.mkdir(parents=True)
    for name in ("lock", "record.json"):
        (path / name).write_text("{}")
    return path


@pytest.fixture
def trapped(make_gateway: Callable[..., Gateway], roots: Path, bystander: int) -> Iterator[Gateway]:
    """A gateway with every trap among its sessions."""
    gateway = make_gateway()
    gateway.as_account("mkdir", str(sessions(gateway)))
    live = {"livefifo": 1, "livehuge": 1, "livelink": 1, "root": bystander}
    with Forger(gateway, **live):
        places = (sessions(gateway), roots, roots.parent, gateway.root)
        done = gateway.as_account("sh", "-euc", TRAPS, *map(str, places))
        assert done.status == 0, done
        yield gateway
    assert sorted(os.listdir(roots)) == ["lock", "record.json"]
    assert alive(bystander)


def tool(gateway: Gateway, *words: str) -> Result:
    """Run `enc-gateway WORDS`, which must not hang."""
    return run(tool_argv(gateway, *words), timeout=60)


def tool_argv(gateway: Gateway, *words: str) -> list[str]:
    command = 2 if words[0] in ("audit", "key") else 1
    config = ["--config", str(gateway.root / "gateway.toml")]
    return [str(bindir() / "enc-gateway"), *words[:command], *config, *words[command:]]


def test_no_tool_of_the_sysadmin_hangs_or_follows_what_lies_among_the_sessions(
    trapped: Gateway, ground: Path, roots: Path
) -> None:
    person = trapped.person("dev")
    tools: list[tuple[str, ...]] = [
        *(("sessions",), ("vaults",), ("metrics",), ("sweep",), ("key", "list"), ("key", "lint"), ("key", "invites")),
        *(("audit", "show"), ("audit", "verify"), ("audit", "rotate"), ("pause",), ("resume",)),
        *(("backup", str(roots.parent / "backup")), ("why", person.fingerprint, "ls")),
        ("key", "revoke", person.fingerprint),
    ]
    for words in tools:
        result = tool(trapped, *words)
        assert result.status == {"lint": 1, "backup": 75}.get(words[words[0] == "key"], 0), (words, result)
    found = tool(trapped, "doctor")
    assert found.status in (1, 2) and "not made by the gateway" in found.out
    assert [one["principal"] for one in json.loads(tool(trapped, "sessions", "--json").out)["sessions"]] == ["root"]


def test_what_lies_among_the_sessions_of_one_keeps_nobody_else(trapped: Gateway) -> None:
    """It used to fail or hang `whoami` and `ls` of everybody."""
    for name in ("somebody", "mallory"):
        person = trapped.person(name, principal=name)
        person.new("mine")
        assert person.ssh("whoami").status == person.ssh("ls").status == person.ssh("status").status == 0
        with person.mounted("mine"):
            assert person.sftp("ls mine").status == 0
            assert person.ssh("logout", "--all").status == 0


def test_the_kill_switch_ends_what_it_should_and_no_process_that_a_record_names(
    make_gateway: Callable[..., Gateway], bystander: int
) -> None:
    """Records name a process of root's, one of the account's, and the warden of another session."""
    gateway = make_gateway()
    person = gateway.person("dev", principal="dev")
    person.new("p")
    own = subprocess.Popen(as_account(gateway, "sleep", "600"))
    try:
        with person.mounted("p") as held:
            with Forger(gateway, root=bystander, own=own.pid, warden=gateway.warden()):
                ids = [f"s-00000000000{number}" for number in range(3)]
                result = tool(gateway, "sessions", "kill", *ids, "--json")
                assert result.status == 70 and sorted(result.json["remaining"]) == ids, result  # type: ignore[call-overload]
                assert person.sftp("ls p").status == 0
                began = time.monotonic()
                paused = tool(gateway, "pause", "--lock-now")
                assert paused.status == 75 and all(id_ in paused.err for id_ in ids), paused
                assert time.monotonic() - began < 60
                assert held.wait().status == 75 and gateway.events("locked", project="p", reason="paused")
                assert alive(bystander) and own.poll() is None
                gateway.stop()
            assert alive(bystander)
            assert own.poll() is None
    finally:
        own.kill()
        own.wait()


def test_a_stopped_session_is_told_and_killed_while_others_close_at_once(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    people = [gateway.person(name, principal=name) for name in ("first", "second")]
    for person in people:
        person.new("p")
    with people[0].mounted("p") as stopped, people[1].mounted("p") as other:
        (one,) = [one for one in gateway.sessions() if one["principal"] == "first"]
        os.kill(int(str(one["pid"])), 19)
        listed = json.loads(tool(gateway, "sessions", "--json").out)["sessions"]
        assert {row["principal"]: row["answers"] for row in listed} == {"first": False, "second": True}
        began = time.monotonic()
        argv = tool_argv(gateway, "sessions", "kill", "--all")
        killing = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert other.wait().status == 75 and time.monotonic() - began < 10
        said = killing.communicate(timeout=60)[0].splitlines()
        assert killing.returncode == 0 and sorted("was killed" in line for line in said) == [False, True]
        assert stopped.wait().status != 0
        for event in ("locked", "session-closed"):
            (row,) = gateway.events(event, session=one["id"])
            assert (row["reason"], row["found_by"]) == ("killed", "enc-gateway sessions kill")


def test_a_forged_record_directs_no_signal_at_another_process(
    make_gateway: Callable[..., Gateway], bystander: int
) -> None:
    gateway = make_gateway()
    with Forger(gateway, x=bystander):
        listed = tool(gateway, "sessions", "--json")
        assert [one["pid"] for one in json.loads(listed.out)["sessions"]] == [bystander]
        gateway.stop()
    assert alive(bystander)


def test_rotating_gives_nothing_of_roots_away(make_gateway: Callable[..., Gateway]) -> None:
    """As if a file of root's had been linked to where the next log is made (fs.protected_hardlinks = 0)."""
    gateway = make_gateway()
    assert gateway.person("logger").ssh("ls").status == 0
    next_ = Path(f"{gateway.ready['audit']}.next")
    next_.write_text("root's")
    rotated = run([str(bindir() / "enc-gateway"), "audit", "rotate", "--config", str(gateway.root / "gateway.toml")])
    assert rotated.status != 0
    assert next_.read_text() == "root's" and next_.stat().st_uid == 0


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_an_embedded_gateway_takes_no_directory_of_another_account(ground: Path, mode: int) -> None:
    where = ground / f"taken-{mode:o}"
    where.mkdir()
    where.chmod(mode)
    if mode == 0o755:
        os.chown(where, 65534, 65534)
    refused = run([str(bindir() / "enc-gateway"), "embedded", str(where)])
    assert refused.status == 64 and "others can write to it" in refused.err
    assert not any(where.iterdir())
