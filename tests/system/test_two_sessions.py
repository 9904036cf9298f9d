"""Sessions on shared connections, several projects in one, and several sessions of one principal."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Held, Person, Result, Terminal

_sockets = itertools.count(1)
Unlock = Callable[[str], Result]


@pytest.fixture
def shared(place: Path) -> tuple[str, ...]:
    """Options that put channels on one connection."""
    return ("-o", "ControlMaster=auto", "-o", f"ControlPath={place}/cm{next(_sockets)}")


@pytest.fixture
def session(person: Person, shared: tuple[str, ...]) -> Iterator[Held]:
    """`ssh gateway session`, whose connection others can share."""
    held = person.hold("session", extra=shared)
    held.read_until("open until you close it")
    yield held
    held.end()


@pytest.fixture
def unlock(person: Person, shared: tuple[str, ...]) -> Unlock:
    """`mount PROJECT` on the shared connection, to its end."""
    return lambda project: person.ssh("mount", project, stdin=PASSPHRASE + "\n", extra=shared)


def ids(person: Person) -> list[str]:
    """The sessions of `person`, oldest first."""
    found = person.ssh("status", "--json").json["sessions"]
    assert isinstance(found, list)
    return [session["id"] for session in found]


def projects(person: Person) -> list[str]:
    """What SFTP shows, on a connection of its own."""
    return person.sftp("ls -1").out.splitlines()[1:]


def test_mount_on_the_connection_of_a_session_returns_at_once(
    person: Person, project: str, session: Held, unlock: Unlock
) -> None:
    result = unlock(project)
    assert (result.status, result.out) == (0, f"unlocked {project}\n")
    session.read_until(f"unlocked {project} in session {ids(person)[0]}")
    assert projects(person) == [project]


def test_two_projects_in_one_session_are_locked_one_by_one(
    person: Person, project: str, session: Held, unlock: Unlock
) -> None:
    person.new("second")
    assert unlock(project).status == unlock("second").status == 0
    assert len(ids(person)) == 1
    assert projects(person) == [project, "second"]
    assert person.ssh("unmount", project).status == 0
    session.read_until(f"locked {project}")
    assert projects(person) == ["second"]
    assert person.ssh("unmount", "second").status == 0
    assert session.process.poll() is None
    assert unlock(project).status == 0
    assert projects(person) == [project]


def test_an_open_sftp_connection_sees_what_is_unlocked_later(
    person: Person, project: str, session: Held, unlock: Unlock
) -> None:
    sftp = Terminal(["sftp", *person.options, "gateway"])
    try:
        sftp.expect("sftp> ")
        sftp.send(f"ls {project}\n")
        sftp.expect("not found")
        assert unlock(project).status == 0
        sftp.send(f"mkdir {project}/made\n")
        sftp.expect("sftp> ")
        sftp.expect("sftp> ")
        sftp.send(f"ls -1 {project}\n")
        sftp.expect(f"{project}/made")
        sftp.expect("sftp> ")
        assert person.ssh("unmount", project).status == 0
    finally:
        sftp.close()


def test_a_wrong_passphrase_leaves_the_session_as_it_was(
    person: Person, project: str, session: Held, unlock: Unlock, shared: tuple[str, ...]
) -> None:
    person.new("second")
    assert unlock(project).status == 0
    wrong = person.ssh("mount", "second", stdin="not the passphrase\n", extra=shared)
    assert (wrong.status, wrong.out) == (77, "")
    assert projects(person) == [project]
    assert unlock("second").status == 0


def test_a_mount_anchors_a_session_that_others_on_its_connection_join(
    person: Person, project: str, shared: tuple[str, ...], unlock: Unlock
) -> None:
    person.new("second")
    with person.mounted(project, extra=shared) as held:
        assert unlock("second").status == 0
        assert len(ids(person)) == 1
        assert person.ssh("unmount", project).status == 0
        assert held.process.poll() is None
        assert projects(person) == ["second"]
        assert person.ssh("unmount", "second").status == 0
        assert held.wait().status == 0


def test_a_second_session_on_one_connection_is_refused(person: Person, session: Held, shared: tuple[str, ...]) -> None:
    result = person.ssh("session", extra=shared)
    assert result.status == 75
    assert ids(person)[0] in result.err


def test_several_sessions_without_a_hint_are_listed(person: Person, project: str) -> None:
    person.new("second")
    with person.mounted(project), person.mounted("second"):
        first, other = ids(person)
        for line in ("logout", "scp -f .", "rsync --server --sender . ."):
            result = person.ssh(line)
            said = result.out if line.startswith("scp") else result.err
            assert (result.status, said) == (75, result.out + result.err)
            assert {first, other} == set(re.findall(r"(s-\w+) \((?:myproj|second)\)", said))
            assert said.count("\n") == 1


def test_a_project_is_hint_enough_among_several_sessions(person: Person, project: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    person.new("second")
    with person.mounted(project) as one, person.mounted("second") as other:
        assert person.copy("rsync", "-a", f"{tmp_path}/file", "gateway:second/").status == 0
        assert person.copy("scp", "-O", f"{tmp_path}/file", f"gateway:{project}/").status == 0
        assert person.ssh("unmount", "second").status == 0
        assert other.wait().status == 0
        assert one.process.poll() is None


def test_the_connection_is_hint_enough_among_several_sessions(
    person: Person, project: str, session: Held, unlock: Unlock, shared: tuple[str, ...]
) -> None:
    person.new("second")
    assert unlock(project).status == 0
    with person.mounted("second"):
        assert person.sftp("ls -1", extra=shared).out.splitlines()[1:] == [project, "second"]
        assert person.ssh("logout", extra=shared).status == 0
        assert projects(person) == ["second"]


def test_a_second_mount_on_one_connection_names_the_session_that_has_it_and_since_when(
    person: Person, project: str, shared: tuple[str, ...]
) -> None:
    with person.mounted(project, extra=shared):
        sessions = person.ssh("status", "--json").json["sessions"]
        assert isinstance(sessions, list)
        result = person.ssh("mount", project, stdin=PASSPHRASE + "\n", extra=shared)
        assert (result.status, result.out) == (75, "")
        since = sessions[0]["views"][0]["since"]
        assert f"by session {sessions[0]['id']} from 127.0.0.1 since {since}" in result.err
        assert re.fullmatch(rf"enc: {project} is unlocked already by [^\n]+\n", result.err)
        assert projects(person) == [project]


def test_logout_ends_the_session_and_locks_everything(
    person: Person, project: str, session: Held, unlock: Unlock
) -> None:
    person.new("second")
    assert unlock(project).status == unlock("second").status == 0
    (id_,) = ids(person)
    result = person.ssh("logout")
    assert (result.status, result.out) == (0, f"closed {id_}\n")
    assert ids(person) == []
    ended = session.wait()
    assert ended.status == 0
    assert f"locked {project}" in ended.out and "locked second" in ended.out


def test_logout_without_a_session_is_69(person: Person) -> None:
    assert person.ssh("logout").status == 69
