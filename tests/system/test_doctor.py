"""`enc-gateway doctor`: finds what is wrong with the host or the gateway, names the fix, and sets the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.doctor import programs
from tests.harness import Gateway, Result, bindir, need_root, run

DEPENDS_ON_HOST = ("clock", "disk", "limits of programs")
"""Subjects whose level differs between machines that run tests."""


@pytest.fixture(scope="module")
def examined(ground: Path) -> Iterator[Gateway]:
    """A gateway for this module. Every test restores what it changed."""
    gateway = Gateway(ground / "gw", {"passphrase.cost": "16"}).start()
    gateway.person("dev").ssh("ls")
    yield gateway
    gateway.stop()


def doctor(gateway: Gateway, *flags: str, host: str = "") -> Result:
    """Run doctor after the script `host`, which changes the host in a mount namespace."""
    words = [str(bindir() / "enc-gateway"), "doctor", "--config", str(gateway.root / "gateway.toml"), *flags]
    return run(["unshare", "--mount", "sh", "-euc", f'{host}\nexec "$@"', "sh", *words] if host else words)


def findings(gateway: Gateway, *flags: str, host: str = "") -> list[dict[str, str]]:
    listed = doctor(gateway, "--json", *flags, host=host).json["findings"]
    assert isinstance(listed, list)
    return listed


def test_a_sound_gateway_is_sound(examined: Gateway) -> None:
    bad = [one for one in findings(examined) if one["level"] != "OK" and one["subject"] not in DEPENDS_ON_HOST]
    assert bad == []
    subjects = {one["subject"] for one in findings(examined)}
    assert subjects >= {"configuration", "gocryptfs", "bubblewrap", "FUSE", "user namespaces", "keys", "swap", "audit"}
    assert subjects >= {"openssh-server", "owners and modes", "core dumps", "clock", "disk", "sessions"}


# A change of the gateway's directory ($0), the script that undoes it, and the expected finding
BROKEN = [
    pytest.param(
        "chmod 0666 $0/authorized_keys",
        "chmod 0644 $0/authorized_keys",
        "FAIL",
        "keys",
        "is writable by others",
        id="keys that others can change",
    ),
    pytest.param(
        "mv $0/authorized_keys $0/x", "mv $0/x $0/authorized_keys", "FAIL", "keys", "cannot be read", id="no keys"
    ),
    pytest.param(
        "cp $0/authorized_keys $0/x; echo ssh-rsa AAAA >>$0/authorized_keys",
        "cp $0/x $0/authorized_keys; rm $0/x",
        "FAIL",
        "keys",
        "ssh-rsa keys are not accepted",
        id="a line that is no key",
    ),
    pytest.param(
        "cp $0/authorized_keys $0/x; key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI'$(printf A%042d 0); "
        'printf %s "$key a" >>$0/authorized_keys; echo "$key b" >>$0/authorized_keys',
        "cp $0/x $0/authorized_keys; rm $0/x",
        "FAIL",
        "keys",
        "the comment of this line has another key",
        id="a key in the comment of another",
    ),
    pytest.param(
        "chmod 0755 $0/vaults",
        "chmod 0700 $0/vaults",
        "FAIL",
        "owners and modes",
        "has mode 0755",
        id="vaults open to others",
    ),
    pytest.param(
        "mkdir $0/vaults/x",
        "rmdir $0/vaults/x",
        "FAIL",
        "owners and modes",
        "belongs to another account",
        id="a home of somebody else's",
    ),
    pytest.param(
        "chmod o+w $0/gateway.toml",
        "chmod o-w $0/gateway.toml",
        "FAIL",
        "owners and modes",
        "than root",
        id="a configuration that others can change",
    ),
    pytest.param(
        "mkdir -p $0/run/sessions/u-x/s-01; touch $0/run/sessions/u-x/s-01/record.json",
        "rm -r $0/run/sessions/u-x",
        "WARN",
        "sessions",
        "1 dead sessions",
        id="a dead session's record",
    ),
    pytest.param(
        "mkdir -p $0/run/sessions; ln -s / $0/run/sessions/u-x",
        "rm $0/run/sessions/u-x",
        "WARN",
        "sessions",
        "not made by the gateway",
        id="a link among the sessions",
    ),
    pytest.param(
        "sed -i 's/cost = 16/cost = 13/' $0/gateway.toml",
        "sed -i 's/cost = 13/cost = 16/' $0/gateway.toml",
        "WARN",
        "passphrases",
        "new ones are 8 times as cheap to guess",
        id="cheap passphrases",
    ),
    pytest.param("echo soon >$0/paused", "rm $0/paused", "WARN", "pause", "is paused: soon", id="a pause"),
    pytest.param(
        "cp $0/audit/audit.jsonl $0/x; sed -i s/authorized/denied/ $0/audit/audit.jsonl",
        "cp $0/x $0/audit/audit.jsonl; rm $0/x",
        "FAIL",
        "audit",
        "the first at line 2",
        id="a changed audit",
    ),
]


@pytest.mark.parametrize(("script", "undo", "level", "subject", "state"), BROKEN)
def test_what_is_wrong_with_the_gateway_is_found(
    examined: Gateway, script: str, undo: str, level: str, subject: str, state: str
) -> None:
    need_root()
    assert run(["sh", "-euc", script, str(examined.root)]).status == 0
    try:
        found = findings(examined)
    finally:
        assert run(["sh", "-euc", undo, str(examined.root)]).status == 0
    (one,) = [one for one in found if one["subject"] == subject and one["level"] == level]
    assert state in one["state"] and one["fix"]


# A change of the host, and the expected finding
HOSTS = [
    pytest.param(
        "printf '#!/bin/sh\\necho bubblewrap 0.4.1\\n' >$T/x; chmod 755 $T/x; mount --bind $T/x /usr/bin/bwrap",
        "FAIL",
        "bubblewrap",
        "bubblewrap 0.4.1",
        id="an old bubblewrap",
    ),
    pytest.param(
        "printf '#!/bin/sh\\necho gocryptfs 1.8.0\\n' >$T/go; chmod 755 $T/go; mount --bind $T/go /usr/bin/gocryptfs",
        "FAIL",
        "gocryptfs",
        "gocryptfs 1.8.0",
        id="an old gocryptfs",
    ),
    pytest.param(
        "cp /usr/bin/bwrap $T/bwrap; chmod 4755 $T/bwrap; mount --bind $T/bwrap /usr/bin/bwrap",
        "WARN",
        "bubblewrap",
        "setuid root",
        id="a setuid bubblewrap",
    ),
    pytest.param("mount -t tmpfs tmpfs /usr/lib/openssh", "FAIL", "sftp-server", "is missing", id="no sftp-server"),
    pytest.param(
        "printf 'Filename\\n/dev/sdz2 partition 1 0 -2\\n' >$T/swaps; mount --bind $T/swaps /proc/swaps",
        "WARN",
        "swap",
        "/dev/sdz2 is not known to be encrypted",
        id="plain swap",
    ),
    pytest.param(
        "echo '|/usr/bin/apport %p' >$T/core; mount --bind $T/core /proc/sys/kernel/core_pattern",
        "WARN",
        "core dumps",
        "/usr/bin/apport",
        id="core dumps to a pipe",
    ),
]


@pytest.mark.parametrize(("script", "level", "subject", "state"), HOSTS)
def test_what_is_wrong_with_the_host_is_found(
    examined: Gateway, tmp_path: Path, script: str, level: str, subject: str, state: str
) -> None:
    need_root()
    tmp_path.chmod(0o755)
    found = findings(examined, host=f"T={tmp_path}\n{script}")
    assert [one for one in found if one["subject"] == subject and one["level"] == level and state in one["state"]]


def test_the_exit_code_is_that_of_the_worst(examined: Gateway, ground: Path) -> None:
    result = doctor(examined, "--sessions", "100000")
    assert result.status == 1
    assert "WARN  fs.inotify.max_user_instances: " in result.out and "setup --sessions 100000" in result.out
    assert doctor(examined, host="mount -t tmpfs tmpfs /usr/lib/openssh").status == 2


def test_a_little_room_is_a_warning_and_none_a_failure(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    need_root()
    gateway = make_gateway(**{"paths.audit": f"{ground}/tiny/audit.jsonl"})
    small = f"mkdir -p {ground}/tiny; mount -t tmpfs -o size=1m tmpfs {ground}/tiny"
    states = {one["level"]: one["state"] for one in findings(gateway, host=small) if one["subject"] == "disk"}
    assert "less than audit.reserve" in states["FAIL"]
    full = f"{small}; head -c 2M /dev/zero >{ground}/tiny/x || :"
    failed = [one["state"] for one in findings(gateway, host=full) if one["level"] == "FAIL"]
    assert any("0 MiB free" in state for state in failed)


@pytest.mark.parametrize(
    ("said", "package", "found"),
    [
        ("OpenSSH_9.2p1 Debian-2+deb12u10", "1:9.2p1-2+deb12u10", False),
        ("OpenSSH_9.2p1 Debian-2+deb12u2", "1:9.2p1-2+deb12u2", True),
        ("OpenSSH_9.6p1 Ubuntu-3ubuntu13.14", "1:9.6p1-3ubuntu13.14", False),
        ("OpenSSH_9.6p1 Ubuntu-3ubuntu13", "1:9.6p1-3ubuntu13", True),
        ("OpenSSH_9.8p1", "", False),
        ("OpenSSH_9.7p1", "", True),
        ("OpenSSH_8.4p1", "", False),
    ],
)
def test_a_hole_is_known_by_version_and_distribution(said: str, package: str, found: bool) -> None:
    assert bool(list(programs._cve_2024_6387(said, package))) == found


def test_the_findings_are_one_json_object(examined: Gateway) -> None:
    (line,) = doctor(examined, "--json").out.splitlines()
    assert {frozenset(one) for one in json.loads(line)["findings"]} == {frozenset(("level", "subject", "state", "fix"))}


@pytest.mark.parametrize(("kind", "warned"), [("ramfs", True), ("tmpfs", False)])
def test_a_quota_where_blocks_tell_little_is_warned_of(examined: Gateway, kind: str, warned: bool) -> None:
    need_root()
    root = examined.root
    with_quota = f"cp {root}/gateway.toml {root}/x; echo '[limits]' >>{root}/x; echo 'disk = 5' >>{root}/x"
    host = f"{with_quota}; mount --bind {root}/x {root}/gateway.toml; mount -t {kind} {kind} {root}/vaults"
    said = [one["state"] for one in findings(examined, host=host) if one["subject"] == "disk"]
    assert any("limits.disk is noticed late" in state for state in said) == warned, said
