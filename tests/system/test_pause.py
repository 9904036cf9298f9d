"""`enc-gateway pause` and `resume`: nothing new begins; live sessions continue, or are ended with --lock-now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Result, bindir, eventually, run


def admin(gateway: Gateway, *words: str) -> Result:
    return run([str(bindir() / "enc-gateway"), *words, "--config", str(gateway.root / "gateway.toml")])


@pytest.fixture
def paused(make_gateway: Callable[..., Gateway]) -> Iterator[tuple[Gateway, Person]]:
    """A paused gateway, and somebody with the project `p`."""
    gateway = make_gateway()
    admin(gateway, "pause")  # so that root is the first to write to the audit log
    assert admin(gateway, "resume").out == "resumed\n"
    person = gateway.person("dev")
    person.new("p")
    assert admin(gateway, "pause", "--message", "new disks, back at 14:00").out == (
        "paused; live sessions: 0\nusers see: the gateway is paused: new disks, back at 14:00\n"
    )
    yield gateway, person


def test_nothing_new_begins_and_the_message_says_why(paused: tuple[Gateway, Person]) -> None:
    gateway, person = paused
    said = "enc: the gateway is paused: new disks, back at 14:00; try again later\n"
    for words in (("mount", "p"), ("session",), ("new", "q"), ("rm", "--yes", "p"), ("idle", "p", "60"), ()):
        result = person.ssh(*words, stdin=PASSPHRASE + "\n")
        assert result.status == 75 and result.err.endswith(said), words
    assert json.loads(person.ssh("mount", "p", "--json").out)["error"] == "paused"
    assert gateway.events("request", decision="deny", reason="paused", verb="mount")
    for words in (("ls",), ("status",), ("whoami",), ("help",)):
        assert person.ssh(*words).status == 0, words
    assert (admin(gateway, "resume").out, admin(gateway, "resume").out) == ("resumed\n", "the gateway was not paused\n")
    with person.mounted("p"):
        pass
    assert [record["event"] for record in gateway.audit() if "pause" in str(record["event"])] == ["paused", "paused"]
    assert gateway.events("resumed")


def test_what_is_live_goes_on_until_it_is_locked_now(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("dev")
    for project in ("p", "q"):
        person.new(project)
    typing = person.terminal("mount", "q")
    typing.expect("Passphrase of q:")
    with person.mounted("p") as held:
        told = {"paused": True, "was_paused": False, "message": "", "ended": [], "live": 1}
        assert json.loads(admin(gateway, "pause", "--json").out) == told
        typing.send(PASSPHRASE + "\n")  # allowed before the pause, but typed late
        typing.expect("the gateway is paused")
        assert typing.wait() == 75
        assert person.sftp("cd p", "put /etc/hostname f").status == 0
        done = admin(gateway, "pause", "--lock-now", "--message", "now")
        assert done.out.startswith("was paused already; sessions ended: 1, live sessions: 0\n")
        assert held.wait().status == 75
        assert gateway.events("locked", project="p", reason="paused")
    eventually(lambda: not gateway.leftovers())


@pytest.mark.parametrize("message", ["two\nlines", "\x1b[31m", "x" * 301])
def test_a_message_that_is_no_line_is_refused(gateway: Gateway, message: str) -> None:
    result = admin(gateway, "pause", "--message", message)
    assert result.status == 64
    assert not (gateway.root / "paused").exists()


def test_a_file_by_hand_is_a_pause_as_well(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("dev")
    (gateway.root / "paused").write_bytes(b"by hand\x1b]0;\xff\n")
    result = person.ssh("session")
    assert (
        result.status == 75
        and result.err.startswith("enc: the gateway is paused: by hand")
        and "\x1b" not in result.err
    )
