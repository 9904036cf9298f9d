"""A configuration that is wrong or changes, keys that cannot be read, a full audit: nobody gets in by it, nobody is
locked out without a word, and each login goes by what the file says then.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, bindir, eventually, run
from tests.life import connection

GENERIC = "enc: the gateway is misconfigured; tell your sysadmin to run `enc-gateway doctor`\n"


@pytest.fixture
def own(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()


def configure(gateway: Gateway, more: str, *without: str) -> None:
    """The gateway's file with `more` at its end, and the lines that contain a word of `without` left out."""
    path = gateway.root / "gateway.toml"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not any(word in line for word in without)]
    path.write_text("\n".join([*kept, *more.splitlines()]) + "\n")


WRONG = {
    "[idle]\nview = soon": "expected a string in quotes",
    "[idle]\nview = '600'": "idle.view must be a whole number",
    "[idle]\nviews = 600": "unknown key idle.views",
    "[projects]\ncreate = ['a b']": "projects.create must be principals",
}


def test_a_login_learns_that_and_the_audit_and_doctor_where(own: Gateway) -> None:
    person = own.person("dev")
    sound = (own.root / "gateway.toml").read_text()
    line = len(sound.splitlines()) + 2
    for more, where in WRONG.items():
        (own.root / "gateway.toml").write_text(sound + more + "\n")
        for words in (("ls",), ("mount", "p"), ("cat", "/etc/passwd")):
            result = person.ssh(*words)
            assert (result.status, result.out, result.err) == (75, "", GENERIC)
        record = own.events("misconfigured")[-1]
        assert record["fingerprint"] == person.fingerprint
        assert str(record["where"]).startswith(f"{own.root}/gateway.toml, line {line}: {where}")
        result = run([str(bindir() / "enc-gateway"), "doctor", "--config", str(own.root / "gateway.toml")])
        assert (
            result.status == 2 and f"FAIL  configuration: {own.root}/gateway.toml, line {line}: {where}" in result.out
        )


def test_many_refusals_are_recorded_as_one(own: Gateway) -> None:
    person = own.person("dev")
    sound = (own.root / "gateway.toml").read_text()
    (own.root / "gateway.toml").write_text(sound + "nonsense\n")
    with connection(person) as shared:
        assert {person.ssh("ls", extra=shared).err for _ in range(40)} == {GENERIC}
    assert len(own.events("misconfigured")) == 31
    (own.root / "gateway.toml").write_text(sound)
    assert person.ssh("ls").status == 0, "they use up nothing"


def test_a_configuration_that_cannot_be_read_lets_nobody_in(own: Gateway) -> None:
    person = own.person("dev")
    (own.root / "gateway.toml").rename(own.root / "elsewhere")
    assert (person.ssh("ls").status, person.ssh("ls").err) == (75, GENERIC)
    (own.root / "elsewhere").rename(own.root / "gateway.toml")
    assert person.ssh("ls").status == 0


def test_keys_that_cannot_be_used_are_told_to_the_audit(own: Gateway) -> None:
    """Whoever has such a key is turned away by sshd, which says why in its own log alone."""
    person = own.person("dev")
    with own.authorized_keys.open("a") as file:
        file.write("ssh-ed25519\n")
    run([str(bindir() / "enc-gateway"), "sweep", "--config", str(own.root / "gateway.toml")])
    assert person.ssh("ls").status == 0
    (record,) = own.events("misconfigured")
    assert record["where"] == f"{own.authorized_keys}, line 2: sshd does not accept this line: it has no readable key"


def test_each_login_reads_the_configuration_and_a_live_session_keeps_its_own(own: Gateway) -> None:
    person = own.person("dev")
    for project in ("p", "q"):
        person.new(project)
    with person.mounted("p"):
        configure(own, "[idle]\nview = 50\nsession = 50")
        with person.mounted("q"):
            sessions = json.loads(person.ssh("status", "--json").out)["sessions"]
            limits = {session["views"][0]["project"]: session["views"][0]["locks_in"] for session in sessions}
    assert limits["q"] <= 50 < limits["p"]


def test_who_may_create_projects_is_the_sysadmins_word(own: Gateway) -> None:
    alice, bob = own.person("alice", "alice"), own.person("bob")
    alice.new("before")
    configure(own, '[projects]\ncreate = ["alice"]')
    alice.new("p")
    result = bob.ssh("new", "p", stdin=PASSPHRASE + "\n")
    assert (result.status, result.err) == (77, "enc: you may not create projects here; ask your sysadmin for one\n")
    assert own.events("request", verb="new", decision="deny", reason="denied")
    configure(own, f'create = ["{bob.fingerprint}"]', "create =")
    bob.new("p")
    assert alice.ssh("new", "q", stdin=PASSPHRASE + "\n").status == 77
    with alice.mounted("before"):
        pass


SMALL = "mkdir -p {0}; mount -t tmpfs -o size={1},mode=0777 tmpfs {0}"


def inside(gateway: Gateway, script: str) -> str:
    """What `script` prints where the gateway sees its small disk."""
    words = ["nsenter", "-t", str(gateway.pid), "--mount", "--user", "--preserve-credentials", "sh", "-euc", script]
    result = run(words)
    assert result.status == 0, result
    return result.out


def on_a_small_disk(
    make_gateway: Callable[..., Gateway], ground: Path, **settings: str
) -> tuple[Gateway, Person, Path]:
    directory = ground / "small"
    gateway = make_gateway(
        SMALL.format(directory, "1m"), **{"paths.audit": f"{directory}/audit.jsonl", "audit.syslog": "", **settings}
    )
    return gateway, gateway.person("dev"), directory


def test_a_disk_that_fills_up_lets_nothing_begin_and_records_how_things_end(
    make_gateway: Callable[..., Gateway], ground: Path
) -> None:
    gateway, person, directory = on_a_small_disk(make_gateway, ground, **{"audit.reserve": "0"})
    for project in ("p", "q"):
        person.new(project)
    with person.mounted("p"):
        configuration = gateway.root / "gateway.toml"  # 1 MiB, which a disk of 1 MiB never has
        configuration.write_text(configuration.read_text().replace("reserve = 0", "reserve = 1"))
        result = person.ssh("mount", "q", stdin=PASSPHRASE + "\n")
        assert (result.status, result.err) == (
            75,
            "enc: the gateway's audit log is out of space; tell your sysadmin\n",
        )
        assert person.ssh("unmount", "p").status == 0
    records = [json.loads(line) for line in inside(gateway, f"cat {directory}/audit.jsonl").splitlines()]
    assert [record["reason"] for record in records if record["event"] == "locked"] == ["unmount"]


@pytest.mark.parametrize(("when_full", "status"), [("refuse", 75), ("continue", 0)])
def test_a_full_disk_refuses_or_goes_on_unrecorded_as_configured(
    make_gateway: Callable[..., Gateway], ground: Path, when_full: str, status: int
) -> None:
    settings = {"audit.reserve": "0", "audit.when_full": when_full}
    gateway, person, directory = on_a_small_disk(make_gateway, ground, **settings)
    person.new("p")
    inside(gateway, f"head -c 2M /dev/zero >{directory}/ballast || :")
    result = None
    for _ in range(12):  # until the last page of the log is full, too
        result = person.ssh("ls")
        if result.status == 75:
            break
    assert result and result.status == status
    assert ("No space left on device" in result.err) == bool(status)


def test_a_full_disk_keeps_nobody_from_looking_and_locking(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    gateway, person, directory = on_a_small_disk(make_gateway, ground, **{"audit.reserve": "0"})
    person.new("p")
    with person.mounted("p"):
        inside(gateway, f"head -c 2M /dev/zero >{directory}/ballast || :")
        eventually(lambda: person.ssh("ls").status == 75)
        assert "held by mount" in person.ssh("status").out
        assert person.ssh("unmount", "p").status == 0
        eventually(lambda: not gateway.leftovers())
        assert person.ssh("logout", "--all").status == 0


def test_looking_on_a_full_disk_loses_no_end_of_a_session(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    gateway, person, directory = on_a_small_disk(make_gateway, ground, **{"audit.reserve": "0"})
    person.new("p")
    with person.mounted("p"):
        inside(gateway, f"head -c 2M /dev/zero >{directory}/ballast || :")
        eventually(lambda: person.ssh("ls").status == 75)
        os.kill(gateway.warden(), signal.SIGKILL)
        eventually(lambda: not gateway.session_processes())
        assert person.ssh("status").status == 0
        inside(gateway, f"rm {directory}/ballast")
        assert person.ssh("status").status == 0
    records = [json.loads(line) for line in inside(gateway, f"cat {directory}/audit.jsonl").splitlines()]
    assert [one["reason"] for one in records if one["event"] == "session-closed"] == ["found-dead"]
