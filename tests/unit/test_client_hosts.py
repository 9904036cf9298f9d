"""A gateway that is several hosts, as enc sees it: where it goes, where it does not, and what it remembers."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import reaching
from client.connection import remote_command, request, ssh
from client.errors import Busy, Elsewhere, EncError, FromGateway, HostIsSilent, HostKeyRefused, Unreachable
from client.state import hosts
from client.state import store as stores
from client.state.config import Profile
from client.state.records import Mount
from client.system import names, processes, standard_input


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Profile]:
    with tempfile.TemporaryDirectory(prefix="enc-r-") as runtime:  # pytest's own path is too long for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield Profile("gw", "gw.example")


@pytest.mark.parametrize(
    ("host", "address", "good"),
    [
        ("gw2", "gw2.example:22", True),
        ("gw2", "10.0.0.2:2222", True),
        ("gw2", "[fd00::2]:22", True),
        ("gw2", "gw2.example", False),
        ("gw2", "gw2.example:0", False),
        ("gw2", "gw2.example:65536", False),
        ("gw2", "gw2 example:22", False),
        ("gw2", "-oProxyCommand=x:22", False),
        ("gw2", "%h:22", False),
        ("gw2", "user@gw2.example:22", False),
        ("gw2", "gw2.example:22\n", False),
        ("gw2", "gw2;x:22", False),
        ("gw2", ["gw2:22"], False),
        ("gw2", None, False),
        ("GW 2", "gw2.example:22", False),
        ("", "gw2.example:22", False),
    ],
)
def test_enc_goes_to_a_name_and_a_port_and_to_nothing_else(host: object, address: object, good: bool) -> None:
    answer = {"error": "elsewhere", "message": "p is unlocked on gw2", "exit": 75, "host": host, "address": address}
    assert hosts.is_one(host, address) is good
    assert isinstance(request.refused(answer, 75), Elsewhere) is good
    assert request.refused(answer, 75).code == 75


def told(profile: Profile) -> dict[str, str]:
    """What the stock ssh makes of our command line."""
    words = [*ssh.direct(profile), "-G", "--", profile.host]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


@pytest.mark.parametrize(
    ("more", "known_as"),
    [
        ("", "gw.example"),
        ("Port 2222", "[gw.example]:2222"),
        ("Port 2222\n    HostKeyAlias our-gateway", "our-gateway"),
    ],
)
def test_only_place_and_name_change_and_the_host_key_has_to_be_that_of_the_gateway(
    tmp_path: Path, more: str, known_as: str
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host work\n    HostName GW.example\n    User enc\n    ProxyJump jump.example\n"
        f"    VerifyHostKeyDNS yes\n    {more}\n"
    )
    profile = Profile("gw", "work", port=0, ssh_config=str(config))
    said = told(hosts.leading_to(profile, "gw2", "gw2.example:2200"))
    assert (said["hostname"], said["port"], said["hostkeyalias"]) == ("gw2.example", "2200", known_as)
    assert (said["user"], said["proxyjump"], said["stricthostkeychecking"]) == ("enc", "jump.example", "true")
    assert "hostkeyalias" not in told(profile) or "HostKeyAlias" in more
    assert (said["verifyhostkeydns"], told(profile)["verifyhostkeydns"]) == ("false", "true")


def test_the_port_of_the_config_is_the_gateways_and_not_the_other_hosts(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("")
    profile = Profile("gw", "gw.example", port=2222, ssh_config=str(config))
    said = told(hosts.leading_to(profile, "gw2", "[fd00::2]:22"))
    assert (said["hostname"], said["port"], said["hostkeyalias"]) == ("fd00::2", "22", "[gw.example]:2222")


def test_a_host_has_a_store_of_its_own_and_a_project_is_remembered_there_while_it_is_mounted(gateway: Profile) -> None:
    assert hosts.others(gateway) == [] and hosts.having(gateway, "p") is gateway
    there = hosts.leading_to(gateway, "gw2", "gw2.example:22")
    store, other = stores.of(there), stores.of(hosts.leading_to(gateway, "gw3", "gw3.example:22"))
    assert len({store.directory, other.directory, stores.of(gateway).directory}) == 3
    assert sorted(one.other for one in hosts.others(gateway)) == ["gw2", "gw3"]
    assert hosts.others(Profile("other", "other.example")) == []
    mount = Mount("p", "", False, "t", processes.of(os.getpid()))
    store.change(lambda now: now.with_mount(mount))
    assert hosts.having(gateway, "p") == there
    assert hosts.having(there, "p") == there
    store.change(lambda now: now.without_mount("p"))
    assert hosts.having(gateway, "p") is gateway


@pytest.mark.parametrize("text", ["", "[]", "7", '["gw2"]', '["gw2", "-x:22"]', '{"host": 1}', "[" * 2000])
def test_what_enc_did_not_write_there_is_no_host(gateway: Profile, text: str) -> None:
    store = stores.of(hosts.leading_to(gateway, "gw2", "gw2.example:22"))
    (Path(store.directory) / stores.HOST).write_text(text)
    assert hosts.others(gateway) == []


def elsewhere(host: str) -> Elsewhere:
    return Elsewhere(f"p is unlocked on {host}", "", 75, host, f"{host}.example:22")


def test_a_command_is_sent_on_twice_and_no_more(gateway: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def moves(profile: Profile) -> str:
        asked.append(profile.other)
        raise elsewhere(f"gw{len(asked)}")

    with pytest.raises(Busy, match="p is unlocked on gw3, says gw2"):
        reaching.reach(gateway, moves)
    assert asked == ["", "gw1", "gw2"]
    assert capsys.readouterr().err.count("connecting there") == 2


@pytest.mark.parametrize(
    ("words", "kept"), [(["unmount", "p", "--json"], True), (["run", "p", "--", "tool", "--json"], False)]
)
def test_what_a_program_prints_comes_at_once_whatever_its_options_are_called(
    gateway: Profile, monkeypatch: pytest.MonkeyPatch, words: list[str], kept: bool
) -> None:
    given: list[object] = []

    def attached(_argv: list[str], _host: str, stdout: object = None) -> int:
        given.append(stdout)
        return 0

    monkeypatch.setattr(ssh, "run_attached", attached)
    assert remote_command.run(gateway, words, project="p") == 0
    assert [one is not None for one in given] == [kept]


def test_a_host_that_sends_to_itself_is_asked_once(gateway: Profile) -> None:
    asked: list[str] = []

    def always(profile: Profile) -> str:
        asked.append(profile.other)
        raise elsewhere("gw2")

    with pytest.raises(Busy, match="p is unlocked on gw2, says gw2"):
        reaching.reach(gateway, always)
    assert asked == ["", "gw2"]


@pytest.mark.parametrize(
    ("there", "becomes", "says"),
    [
        (HostKeyRefused("changed"), HostKeyRefused, "the host key of gw2 .gw2.example:22. is not that of gw.example"),
        (Unreachable("nothing answers"), HostIsSilent, "nothing answers"),
        (FromGateway("no", "", 77, "denied"), FromGateway, "no"),
    ],
)
def test_what_is_wrong_there_is_said_of_that_host(
    gateway: Profile, there: EncError, becomes: type[EncError], says: str
) -> None:
    def command(profile: Profile) -> str:
        raise there if profile.address else elsewhere("gw2")

    with pytest.raises(becomes, match=says):
        reaching.reach(gateway, command)


def test_the_gateways_own_errors_stay_what_they_are(gateway: Profile) -> None:
    def command(profile: Profile) -> str:
        raise Unreachable("it is off", "is it running?")

    with pytest.raises(Unreachable) as caught:
        reaching.reach(gateway, command)
    assert type(caught.value) is Unreachable and caught.value.hint == "is it running?"


def test_who_has_patience_waits_until_another_host_has_it(
    gateway: Profile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reaching, "_PAUSE", 0.01)
    left: list[EncError] = [
        elsewhere("gw2"),
        Unreachable("gw2 does not answer"),
        elsewhere("gw2"),
        Unreachable("gw2 does not answer"),
        FromGateway("p is held by gw2, which has not answered for 21 s", "", 75, "busy", "gw2"),
    ]

    def command(profile: Profile) -> str:
        if left:
            raise left.pop(0)
        return profile.other or "gateway"

    assert reaching.reach(gateway, command, 30) == "gateway"
    said = capsys.readouterr().err
    assert said.count("waiting for at most 30 s") == 1 and said.count("connecting there") == 1


def test_what_is_busy_for_another_reason_is_not_waited_for(gateway: Profile) -> None:
    def command(profile: Profile) -> str:
        raise FromGateway("too many", "", 75, "busy")

    with pytest.raises(FromGateway, match="too many"):
        reaching.reach(gateway, command, 30)


@pytest.mark.parametrize(
    ("word", "project"),
    [("p", "p"), ("p:a/b", "p"), ("p:", "p"), ("bob/p:x:y", "bob/p"), ("../x", ""), ("", ""), ("P:x", "")],
)
def test_the_project_before_a_path(word: str, project: str) -> None:
    assert names.before_path(word) == project


@pytest.mark.parametrize(("kind", "can"), [("null", True), ("file", True), ("ended", True), ("pipe", False)])
def test_standard_input_can_be_given_again_or_not(tmp_path: Path, kind: str, can: bool) -> None:
    (tmp_path / "file").write_text("one\ntwo\n")
    reading, writing = os.pipe()
    given = {
        "null": os.open(os.devnull, os.O_RDONLY),
        "file": os.open(tmp_path / "file", os.O_RDONLY),
        "ended": os.dup(reading),
        "pipe": os.dup(reading),
    }[kind]
    if kind == "ended":
        os.close(writing)
    before = os.dup(0)
    try:
        os.dup2(given, 0)
        seen = standard_input.look()
        if kind == "file":
            assert os.read(0, 4) == b"one\n"
        assert standard_input.again(seen) is can
        if kind == "file":
            assert os.read(0, 4) == b"one\n"
    finally:
        os.dup2(before, 0)
