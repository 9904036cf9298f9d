"""sftp, scp, rsync and sshfs reach the unlocked projects of a principal, and nothing else."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, Result, eventually, need, run

WORDS = {"a.txt": "first\n", "with blank.txt": "second\n", "sub/deep/c.bin": "third\n", "sub/é.txt": "", "-dash": "x\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small source tree."""
    root = tmp_path / "src"
    for name, text in WORDS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def told(result: Result) -> str:
    """What a client is told: by rsync's on standard error, by scp's in its protocol."""
    return result.err or result.out.removeprefix("\x02")


def content(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@contextlib.contextmanager
def sshfs(person: Person, remote: str, at: Path) -> Iterator[Path]:
    """`sshfs gateway:REMOTE AT`."""
    need(Path("/usr/bin/sshfs").exists() and Path("/dev/fuse").exists(), "sshfs and FUSE")
    at.mkdir()
    words = ["sshfs", "-F", str(person.gateway.ssh_config), "-o", f"IdentityFile={person.key}", f"gateway:{remote}"]
    result = run([*words, str(at)])
    assert result.status == 0, result
    try:
        yield at
    finally:
        eventually(lambda: subprocess.run(["fusermount3", "-q", "-u", str(at)], check=False).returncode == 0)


def test_sftp_puts_gets_and_lists(person: Person, project: str, tree: Path, tmp_path: Path) -> None:
    back = tmp_path / "back"
    with person.mounted(project):
        assert person.sftp(f"cd {project}", f"put -R {tree}").status == 0
        assert "a.txt" in person.sftp(f"ls {project}/src").out
        assert person.sftp(f"get -R {project}/src {back}").status == 0
        done = person.sftp(f"cd {project}/src", "rename a.txt b.txt", "rm b.txt", "mkdir d", "rmdir d", "ls -1")
        assert done.status == 0
        assert "b.txt" not in done.out.split("ls -1", 1)[1]
    assert content(back) == WORDS


def test_sftp_starts_among_the_projects(person: Person, project: str) -> None:
    person.new("other")
    with person.mounted(project):
        assert person.sftp("pwd").out.splitlines()[-1] == "Remote working directory: /projects"
        assert person.sftp("ls -1").out.splitlines()[-1] == project


@pytest.mark.parametrize("protocol", [(), ("-O",)], ids=["sftp", "old"])
def test_scp_copies_both_ways(
    person: Person, project: str, tree: Path, tmp_path: Path, protocol: tuple[str, ...]
) -> None:
    with person.mounted(project):
        assert person.copy("scp", *protocol, "-r", str(tree), f"gateway:{project}/").status == 0
        assert person.copy("scp", *protocol, "-p", str(tree / "a.txt"), f"gateway:{project}/one.txt").status == 0
        assert person.copy("scp", *protocol, "-r", f"gateway:{project}/src", str(tmp_path / "back")).status == 0
        assert person.copy("scp", *protocol, f"gateway:{project}/one.txt", str(tmp_path / "one.txt")).status == 0
    assert content(tmp_path / "back") == WORDS
    assert (tmp_path / "one.txt").read_text() == WORDS["a.txt"]


def test_rsync_copies_both_ways_and_deletes(person: Person, project: str, tree: Path, tmp_path: Path) -> None:
    with person.mounted(project):
        first = person.copy("rsync", "-a", "--delete", f"{tree}/", f"gateway:{project}/")
        assert (first.status, first.err) == (0, "")
        (tree / "a.txt").unlink()
        (tree / "new.txt").write_text("new\n")
        assert person.copy("rsync", "-az", "--delete", f"{tree}/", f"gateway:{project}/").status == 0
        assert person.copy("rsync", "-a", f"gateway:{project}/", f"{tmp_path}/back/").status == 0
        assert person.copy("rsync", "-a", f"gateway:{project}/with blank.txt", f"{tmp_path}/one").status == 0
    assert content(tmp_path / "back") == content(tree)
    assert (tmp_path / "one").read_text() == "second\n"


def test_sshfs_shows_a_project_as_a_directory(person: Person, project: str, tree: Path, tmp_path: Path) -> None:
    with person.mounted(project), sshfs(person, project, tmp_path / "work") as work:
        (work / "sub").mkdir()
        (work / "sub" / "file.txt").write_text("through sshfs\n")
        (work / "sub" / "file.txt").rename(work / "moved.txt")
        assert sorted(path.name for path in work.iterdir()) == ["moved.txt", "sub"]
        assert person.sftp(f"get {project}/moved.txt {tmp_path}/moved").status == 0
    assert (tmp_path / "moved").read_text() == "through sshfs\n"


def test_what_was_put_is_there_after_the_next_unlock(person: Person, project: str, tree: Path, tmp_path: Path) -> None:
    with person.mounted(project) as held:
        assert person.copy("rsync", "-a", f"{tree}/", f"gateway:{project}/").status == 0
        assert person.ssh("unmount", project).status == 0
        held.wait()
    with person.mounted(project):
        assert person.copy("rsync", "-a", f"gateway:{project}/", f"{tmp_path}/back/").status == 0
    assert content(tmp_path / "back") == WORDS


def test_nothing_is_reached_while_locked(person: Person, project: str, tree: Path, tmp_path: Path) -> None:
    file, remote = str(tree / "a.txt"), f"gateway:{project}/"
    asked = person.ssh("sftp")
    assert asked.status == person.ssh("sftp", extra=("-s",)).status == 69
    assert asked.err == "enc: nothing is unlocked; `mount PROJECT` unlocks a project\n"
    for result in (
        person.sftp(f"ls {project}"),
        person.copy("scp", "-O", file, remote),
        person.copy("scp", "-O", f"{remote}a.txt", str(tmp_path)),
        person.copy("rsync", "-a", file, remote),
        person.copy("rsync", "-a", remote, f"{tmp_path}/back"),
    ):
        assert result.status != 0
        assert "unlocked; `mount" in result.err, result
    assert person.copy("scp", file, remote).status != 0
    assert person.ssh(f"scp -t {project}/").status == 69
    assert person.ssh(f"rsync --server . {project}/").status == 69


def test_a_locked_project_is_out_of_reach_beside_an_unlocked_one(
    person: Person, project: str, tree: Path, tmp_path: Path
) -> None:
    person.new("other")
    with person.mounted(project):
        assert person.sftp("ls other").status != 0
        assert person.sftp(f"put {tree}/a.txt other/a.txt").status != 0
        assert person.copy("scp", str(tree / "a.txt"), "gateway:other/").status != 0
        for words in ("scp -t other/", "rsync --server . other/", f"rsync --server . {project}/ other/"):
            result = person.ssh(words)
            assert result.status == 69
            assert told(result) == "enc: other is not unlocked; `mount other` unlocks it\n"


def test_an_unknown_project_is_66_and_nothing_is_made(person: Person, project: str, tree: Path) -> None:
    with person.mounted(project):
        for words in ("scp -t unknown/", "rsync --server . unknown/"):
            result = person.ssh(words)
            assert result.status == 66
            assert told(result) == "enc: you have no project unknown; `ls` lists your projects\n"
        assert person.copy("scp", "-r", str(tree), "gateway:unknown/").status != 0
        assert person.sftp("mkdir unknown").status != 0
        assert person.sftp("ls -1").out.splitlines()[-1] == project


def test_a_file_beside_the_projects_is_refused(person: Person, project: str, tree: Path) -> None:
    file = str(tree / "a.txt")
    with person.mounted(project):
        for result in (
            person.sftp(f"put {file}"),
            person.sftp(f"put {file} /projects/a.txt"),
            person.sftp(f"put {file} /a.txt"),
            person.sftp(f"put {file} /tmp/a.txt"),
            person.copy("scp", file, "gateway:"),
            person.copy("scp", "-O", file, "gateway:"),
            person.copy("rsync", "-a", file, "gateway:"),
        ):
            assert result.status != 0, result
        assert person.sftp("ls -1").out.splitlines()[-1] == project


def test_rsync_and_scp_calls_that_no_client_makes_are_64(person: Person, project: str) -> None:
    with person.mounted(project):
        for words in (
            "rsync",
            "rsync --daemon .",
            f"rsync --server --daemon . {project}/",
            f"rsync --server -e sh . {project}/",
            f"rsync --server --rsh=sh . {project}/",
            f"rsync --server --log-file=/projects/{project}/x . {project}/",
            f"rsync -a {project}/ /tmp/",
            "scp",
            f"scp {project}/a {project}/b",
            f"scp -S sh -t {project}/",
            f"scp -t -f {project}/",
        ):
            assert person.ssh(words).status == 64, words


def test_another_key_of_the_same_principal_reaches_it(gateway: Gateway, person: Person, tree: Path) -> None:
    principal = f"dev-{person.name}"
    laptop = gateway.person(f"{person.name}-laptop", principal)
    desktop = gateway.person(f"{person.name}-desktop", principal)
    laptop.new("shared")
    with laptop.mounted("shared") as held:
        assert desktop.sftp(f"put {tree}/a.txt shared/").status == 0
        assert laptop.sftp("ls -1 shared").out.splitlines()[-1] == "shared/a.txt"
        assert desktop.copy("rsync", "-a", f"{tree}/", "gateway:shared/").status == 0
        assert desktop.ssh("unmount", "shared").status == 0
        assert held.wait().status == 0


def test_a_different_principal_cannot_reach_it(gateway: Gateway, person: Person, project: str, tree: Path) -> None:
    stranger = gateway.person(f"{person.name}-stranger")
    named = gateway.person(f"{person.name}-named", principal=f"stranger-{person.name}")
    with person.mounted(project) as held:
        for other in (stranger, named):
            assert other.ssh("sftp", extra=("-s",)).status == 69
            assert other.sftp(f"ls {project}").status != 0
            assert other.copy("scp", str(tree / "a.txt"), f"gateway:{project}/").status != 0
            for words in (
                f"scp -t {project}/",
                f"rsync --server . {project}/",
                f"unmount {project}",
                f"mount {project}",
            ):
                assert other.ssh(words).status == 66
            assert other.ssh("logout").status == 69
        assert held.process.poll() is None
        assert person.sftp(f"ls {project}").status == 0


def test_a_stranger_with_a_session_of_their_own_sees_only_theirs(gateway: Gateway, person: Person, tree: Path) -> None:
    stranger = gateway.person(f"{person.name}-stranger")
    person.new("one")
    stranger.new("two")
    with person.mounted("one"), stranger.mounted("two"):
        assert person.sftp("ls -1").out.splitlines()[-1] == "one"
        assert stranger.sftp("ls -1").out.splitlines()[-1] == "two"
        assert stranger.sftp(f"put {tree}/a.txt one/").status != 0
        assert stranger.sftp(f"put {tree}/a.txt two/").status == 0
