"""git clones from and pushes to repositories in unlocked projects, and reaches nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PATIENCE, Gateway, Person, Result, eventually, need, run
from tests.running import UnlockedProject, unlocked_project


@pytest.fixture(scope="module")
def at(gateway: Gateway) -> Iterator[UnlockedProject]:
    """One unlocked project, with a bare repository `r.git` in it."""
    need(Path("/usr/bin/git").exists(), "git")
    with unlocked_project(gateway, "committer") as made:
        assert made.run("git", "init", "-q", "--bare", "-b", "main", "r.git").status == 0
        yield made


def git(person: Person, *words: str, at: Path, extra: tuple[str, ...] = (), timeout: float = PATIENCE) -> Result:
    """git on the user's machine."""
    ssh = " ".join(["ssh", *person.options, *extra])
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    return run(
        ["env", f"GIT_SSH_COMMAND={ssh}", "HOME=/nonexistent", "git", "-C", str(at), *identity, *words], timeout=timeout
    )


@pytest.fixture
def work(at: UnlockedProject, tmp_path: Path) -> Path:
    """A repository on the user's machine, with one commit."""
    (tmp_path / "file.txt").write_text("first\n")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        assert git(at.person, *words, at=tmp_path).status == 0
    return tmp_path


def test_a_repository_is_pushed_cloned_and_fetched(at: UnlockedProject, work: Path, tmp_path: Path) -> None:
    remote = f"gateway:{at.project}/r.git"
    assert git(at.person, "push", "-q", "-f", remote, "main", at=work).status == 0
    assert git(at.person, "clone", "-q", remote, "copy", at=tmp_path).status == 0
    assert (tmp_path / "copy" / "file.txt").read_text() == "first\n"
    (work / "file.txt").write_text("second\n")
    assert git(at.person, "commit", "-q", "-am", "second", at=work).status == 0
    assert git(at.person, "push", "-q", remote, "main", at=work).status == 0
    assert git(at.person, "pull", "-q", at=tmp_path / "copy").status == 0
    assert (tmp_path / "copy" / "file.txt").read_text() == "second\n"
    archive = git(at.person, "archive", f"--remote={remote}", "--format=tar", "main", at=tmp_path)
    assert archive.status == 0 and "second" in archive.out
    assert at.run("git", "--git-dir=r.git", "log", "--format=%s").out == "second\nfirst\n"


@pytest.mark.parametrize("form", ["gateway:/{}/r.git", "gateway:/projects/{}/r.git", "ssh://gateway/{}/r.git"])
def test_the_ways_to_write_a_repository_are_understood(at: UnlockedProject, tmp_path: Path, form: str) -> None:
    assert git(at.person, "ls-remote", form.format(at.project), at=tmp_path).status == 0


REFUSED = {
    "another project": ("git-upload-pack 'unknown/r.git'", 66),
    "no project": ("git-upload-pack '/'", 69),
    "nothing": ("git-upload-pack", 64),
    "two paths": ("git-upload-pack {p}/r.git {p}/r.git", 64),
    "an option": ("git-upload-pack --upload-pack=sh {p}/r.git", 64),
    "an option for a path": ("git-upload-pack --help=x", 64),
    "a way up": ("git-receive-pack {p}/../../etc", 64),
    "a way up within": ("git-receive-pack {p}/r.git/../r.git", 64),
    "git by itself": ("git upload-pack {p}/r.git", 127),
    "git's shell": ("git-shell -c 'git-upload-pack {p}/r.git'", 127),
    "a path elsewhere": ("git-upload-pack /etc", 66),
    "no repository": ("git-upload-pack {p}/none.git", 128),
}


@pytest.mark.parametrize("name", REFUSED)
def test_git_is_told_nothing_but_a_path_in_a_project(at: UnlockedProject, name: str) -> None:
    line, status = REFUSED[name]
    result = at.person.ssh(line.format(p=at.project), extra=at.shared)
    assert (result.status, result.out) == (status, ""), result


def test_git_reaches_nothing_that_is_locked(at: UnlockedProject, tmp_path: Path) -> None:
    at.person.new("shut")
    result = git(at.person, "clone", "gateway:shut/r.git", at=tmp_path)
    assert result.status == 128
    assert "enc: shut is not unlocked; `mount shut` unlocks it" in result.err


HOOK = (
    "#!/bin/sh\n"
    "{ ls -A / /projects; cat /etc/shadow; ls /vaults; cat /proc/self/status; } > ../seen 2>&1\n"
    "setsid sleep 4713 > /dev/null 2>&1 &\n"
)


def with_hook(at: UnlockedProject) -> None:
    at.put("r.git/hooks/pre-receive", HOOK)
    assert at.sh("chmod +x r.git/hooks/pre-receive; rm -f seen").status == 0


def test_a_hook_runs_in_the_sandbox_and_ends_with_it(at: UnlockedProject, work: Path) -> None:
    with_hook(at)
    assert git(at.person, "push", "-q", "-f", f"gateway:{at.project}/r.git", "main", at=work).status == 0
    seen = at.run("cat", "seen").out
    assert at.project in seen
    assert "Seccomp:\t2\n" in seen and "CapEff:\t0000000000000000\n" in seen
    assert seen.count("No such file or directory") == 2, "neither the host's accounts nor the ciphertext are there"
    eventually(lambda: "sleep 4713" not in at.gateway.processes().values(), 10)


def test_hooks_are_off_where_users_do_not_choose_what_runs(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway(**{"run.commands": "git,tee,sh"})
    with unlocked_project(gateway, "no-hooks") as at:
        assert at.run("git", "init", "-q", "--bare", "-b", "main", "r.git").status == 0
        with_hook(at)
        (tmp_path / "f").write_text("x")
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
            assert git(at.person, *words, at=tmp_path).status == 0
        assert git(at.person, "push", "-q", f"gateway:{at.project}/r.git", "main", at=tmp_path).status == 0
        assert at.sh("ls").out.split() == ["r.git"]


def test_no_configuration_of_a_repository_starts_a_program_there(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """Filters, when a push updates a working tree, and formats of an archive."""
    gateway = make_gateway(**{"run.commands": "git,tee,sh"})
    with unlocked_project(gateway, "no-filters") as at:
        assert at.run("git", "init", "-q", "-b", "main", "r").status == 0
        for key, value in {
            "receive.denyCurrentBranch": "updateInstead",
            "filter.x.smudge": "touch /projects/myproj/smudged; cat",
            "tar.x.command": "touch /projects/myproj/archived; cat",
            "tar.x.remote": "true",
        }.items():
            assert at.run("git", "-C", "r", "config", key, value).status == 0
        (tmp_path / ".gitattributes").write_text("* filter=x\n")
        (tmp_path / "f").write_text("x")
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
            assert git(at.person, *words, at=tmp_path).status == 0
        remote = f"gateway:{at.project}/r"
        pushed = git(at.person, "push", "-q", remote, "main", at=tmp_path)
        assert pushed.status != 0 and "refusing to update checked out branch" in pushed.err
        said = git(at.person, "push", "-q", remote, "main:other", at=tmp_path)
        assert (said.status, said.err) == (0, "")
        archive = git(at.person, "archive", f"--remote={remote}", "--format=x", "other", at=tmp_path)
        assert archive.status != 0 and "git archive is switched off here" in archive.err
        assert at.sh("ls").out.split() == ["r"]


def test_a_push_dies_with_the_lock(gateway: Gateway, tmp_path: Path) -> None:
    with unlocked_project(gateway, "committer-locked") as at:
        assert at.run("git", "init", "-q", "--bare", "r.git").status == 0
        argv = at.person.argv(f"git-receive-pack {at.project}/r.git")
        client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert client.stdin and client.stdout
        assert os.read(client.stdout.fileno(), 4), "it has greeted us and waits"
        assert at.person.ssh("unmount", at.project, extra=at.shared).status == 0
        assert client.wait(30) != 0
        client.stdin.close()
        client.stdout.close()
        del tmp_path


SLOW_LINE = """
import os, socket, sys, threading, time
line = socket.create_connection(sys.argv[1:3])
line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
def carry(read, write):
    while data := read(30_000):
        while data:
            data = data[write(data) :]
        time.sleep(0.1)
threading.Thread(target=carry, args=(lambda size: os.read(0, size), line.send), daemon=True).start()
carry(line.recv, lambda data: os.write(1, data))
"""
"""300 kB/s in each direction."""


def test_a_push_and_a_clone_by_a_slow_line_keep_the_project(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """Both last longer than the idle limit, and so would the 2 MiB alone that ssh and sshd hold back. git receives a
    large object in memory, and sends one from mapped memory, so neither is file I/O that is seen while it lasts.
    """
    (tmp_path / "line.py").write_text(SLOW_LINE)
    slow = ("-o", f"'ProxyCommand={sys.executable} {tmp_path / 'line.py'} %h %p'")
    repository = tmp_path / "work"
    repository.mkdir()
    (repository / "large").write_bytes(os.urandom(4 << 20))
    gateway = make_gateway(**{"idle.view": "5", "idle.warning": "2"})
    with unlocked_project(gateway, "patient") as at:
        person, remote = at.person, f"gateway:{at.project}/r.git"
        assert at.run("git", "init", "-q", "--bare", "-b", "main", "r.git").status == 0
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "large")):
            assert git(person, *words, at=repository).status == 0
        pushed = git(person, "push", "-q", remote, "main", at=repository, extra=slow, timeout=120)
        assert pushed.status == 0, pushed
        cloned = git(person, "clone", "-q", remote, "copy", at=tmp_path, extra=slow, timeout=120)
        assert cloned.status == 0, cloned
