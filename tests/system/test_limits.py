"""What one principal may have at once, whatever it tries, and that nobody else notices."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Held, eventually
from tests.life import connection, session, unlock

LIMITS = {"sessions": 2, "views": 2, "projects": 3, "programs": 2, "logins": 12}


@pytest.fixture(scope="module")
def strict(ground: Path) -> Iterator[Gateway]:
    """A gateway with LIMITS."""
    gateway = Gateway(ground / "gw", {f"limits.{name}": str(number) for name, number in LIMITS.items()})
    gateway.start()
    yield gateway
    gateway.stop()


def test_as_many_sessions_as_allowed_and_no_more(strict: Gateway) -> None:
    one, other = strict.person("s-one"), strict.person("s-other")
    held = [one.hold("session") for _ in range(5)]
    eventually(lambda: sum(each.process.poll() is not None for each in held) == 3)
    refused = [each.wait() for each in held if each.process.poll() is not None]
    said = "enc: you have 2 live sessions, which is the limit; `logout --all` ends them\n"
    assert [(each.status, each.err) for each in refused] == [(75, said)] * 3
    eventually(lambda: len(strict.sessions()) == 2)
    with session(other):  # another principal has places of its own
        eventually(lambda: len(strict.sessions()) == 3)
    for each in held:
        each.end()
    eventually(lambda: not strict.leftovers())
    with session(one), session(one):  # the places of ended sessions are free
        eventually(lambda: len(strict.sessions()) == 2)


def test_the_places_of_killed_sessions_are_free(strict: Gateway) -> None:
    person = strict.person("s-killed")
    for _ in range(2):
        held = [person.hold("session") for _ in range(2)]
        for each in held:
            each.read_until("session")
        for record in strict.sessions():
            os.kill(int(str(record["pid"])), signal.SIGKILL)
        for each in held:
            each.wait()


def test_as_many_views_as_allowed_over_all_sessions(strict: Gateway) -> None:
    person = strict.person("v-one")
    for name in ("a", "b", "c"):
        person.new(name)
    with session(person) as (_, shared):
        unlock(person, "a", shared)
        with person.mounted("b"):
            third = person.ssh("mount", "c", stdin=PASSPHRASE + "\n", extra=shared)
            said = "enc: you have 2 unlocked projects, which is the limit; `unmount PROJECT` locks one\n"
            assert (third.status, third.err) == (75, said)
            assert person.ssh("unmount", "a", extra=shared).status == 0
            wrong = person.ssh("mount", "c", stdin="wrong passphrase\n", extra=shared)
            assert wrong.status == 77, "an unlock that fails keeps no place"
            unlock(person, "c", shared)


def test_as_many_projects_as_allowed_also_at_one_moment(strict: Gateway) -> None:
    person = strict.person("p-one")
    with connection(person) as shared:
        argv = [person.argv("new", f"p{number}", extra=shared) for number in range(6)]
        at_once = [subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for words in argv]
        said = [each.communicate(PASSPHRASE + "\n", timeout=60)[1] for each in at_once]
        assert sorted(each.returncode for each in at_once) == [0, 0, 0, 73, 73, 73]
        assert (
            sum("enc: you already have 3 projects, which is your limit; remove one with `rm`" in each for each in said)
            == 3
        )
        listed = person.ssh("ls", "--json", extra=shared).json["projects"]
        assert isinstance(listed, list) and len(listed) == 3
        assert person.ssh("rm", "--yes", str(listed[0]["name"]), extra=shared).status == 0
        assert person.ssh("new", "again", stdin=PASSPHRASE + "\n", extra=shared).status == 0


def test_as_many_programs_as_allowed_of_all_kinds(strict: Gateway) -> None:
    person = strict.person("r-one")
    person.new("p")
    with person.mounted("p"), connection(person) as shared:
        transfer = person.sftp_terminal(*shared)
        program = Held(person.argv("run", "p", "--", "sh", "-c", "'echo up; sleep 600'", extra=shared), "")
        program.read_until("up")
        said = "enc: you have 2 running transfers and programs, which is the limit; end one of them first\n"
        for words in (("run", "p", "--", "true"), ("shell", "p"), ("git-upload-pack", "p"), ("scp", "-t", "p")):
            third = person.ssh(*words, extra=shared)
            told = third.out.removeprefix("\x02") if words[0] == "scp" else third.err
            assert (third.status, told) == (75, said), words
        program.end()
        transfer.close()
        eventually(lambda: person.ssh("run", "p", "--", "true", extra=shared).status == 0)


def test_only_so_many_logins_a_minute(strict: Gateway) -> None:
    person, other = strict.person("l-one"), strict.person("l-other")
    with connection(person) as shared:
        for _ in range(15):
            assert person.ssh("whoami", extra=shared).status == 0, "channels of one connection are one login"
        results = [person.ssh("whoami") for _ in range(13)]
        assert [each.status for each in results[:10]] == [0] * 10
        assert results[-1].status == 75
        assert "enc: you connected 12 times within a minute, which is the limit; wait " in results[-1].err
        assert person.ssh("whoami", extra=shared).status == 0, "a connection that was let in stays so"
    assert other.ssh("whoami").status == 0
    assert strict.events("request", decision="deny", reason="busy", fingerprint=person.fingerprint)
