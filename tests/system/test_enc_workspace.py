"""`enc workspace`, `enc ssh-config` and `enc forward` on a user's machine, and stock tools by what they wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Person, Result, eventually, run
from tests.laptop import Laptop, laptop
from tests.system.test_workspace import SERVE, fetched, free_port


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    """A machine on which the project p is mounted."""
    person.new("p")
    with laptop(person) as made:
        made.mount("p")
        yield made
        made.enc("logout", "--all")


def config(mine: Laptop) -> Path:
    return mine.home / ".ssh" / "config"


def ssh(mine: Laptop, *words: str, stdin: str = "") -> Result:
    """The stock ssh, which takes the home of passwd(5) and not of the environment."""
    return run([*mine.environment(), "ssh", "-F", str(config(mine)), *words], stdin)


def test_ssh_scp_rsync_and_git_reach_it_with_no_further_word(mine: Laptop, tmp_path: Path) -> None:
    config(mine).parent.mkdir(mode=0o700)
    config(mine).write_text("Host other\n    User somebody\n")
    done = mine.enc("ssh-config", "p", "--json")
    assert (done.status, done.json["host"], done.json["included"]) == (0, "enc-p", True), done
    text = config(mine).read_text()
    assert text.startswith("Include ") and text.endswith("Host other\n    User somebody\n")
    assert mine.enc("ssh-config", "p", "--json").json["included"] is False
    assert config(mine).read_text() == text
    assert ssh(mine, "enc-p", "pwd").out == "/home/enc\n"
    (tmp_path / "f").write_text("content")
    through = f"ssh -F {config(mine)}"
    for words in (
        ["scp", "-F", str(config(mine)), str(tmp_path / "f"), "enc-p:/projects/p/by-scp"],
        ["rsync", "-a", "-e", through, f"{tmp_path}/f", "enc-p:/projects/p/by-rsync"],
    ):
        assert run([*mine.environment(), *words]).status == 0
    assert ssh(mine, "enc-p", "cd /projects/p && cat by-scp by-rsync && git init -q repo").out == "contentcontent"
    cloned = run(
        [*mine.environment(GIT_SSH_COMMAND=through), "git", "clone", "-q", "enc-p:/projects/p/repo", f"{tmp_path}/c"]
    )
    assert cloned.status == 0, cloned
    assert mine.enc("unmount", "p").status == 0
    refused = ssh(mine, "enc-p", "true")
    assert (refused.status == 255 and "p is locked" in refused.err) or "unlock" in refused.err, refused


def test_a_workspace_begins_anew_without_a_warning(mine: Laptop) -> None:
    """Its host key is another one then."""
    assert mine.enc("workspace", "p", "--", "echo", "x", ">/tmp/mark").status == 0
    first = (mine.home / ".config/enc/workspace_known_hosts").read_text()
    assert mine.enc("workspace", "p", "--", "cat", "/tmp/mark").out == "x\n"
    assert mine.enc("unmount", "p").status == 0
    mine.mount("p")
    done = mine.enc("workspace", "p", "--", "cat", "/tmp/mark")
    assert done.status == 1 and "No such file" in done.err and "WARNING" not in done.err, done
    assert (mine.home / ".config/enc/workspace_known_hosts").read_text() != first


def test_a_server_is_reached_through_a_forward_that_ends_with_the_lock(mine: Laptop) -> None:
    assert mine.enc("workspace", "p", "--", f"echo served >/projects/p/f; {SERVE.format(port=8000)}").status == 0
    local = free_port()
    terminal = mine.terminal()
    terminal.send(f"enc forward p {local}:8000\n")
    terminal.expect("until you press Ctrl-C")
    assert eventually(lambda: fetched(local)) == "served\n"
    assert mine.enc("forward", "--list", "--json").json["forwards"] == [
        {"project": "p", "local": local, "target": "8000"}
    ]
    taken = mine.enc("forward", "p", f"{local}:8000")
    assert (taken.status, taken.err.count("\n")) == (73, 1) and "is taken" in taken.err, taken
    assert mine.enc("unmount", "p").status == 0
    terminal.expect("the forward has ended")
    assert fetched(local) == ""
    assert mine.enc("forward", "--list").out == "nothing is forwarded\n"
    terminal.close()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("forward", "p", "x"), 64, "is no port"),
        (("forward", "p", "0"), 64, "is no port"),
        (("forward", "p", "80:x"), 64, "is no port"),
        (("forward", "p", "0.0.0.0:80:80"), 64, "is no port"),
        (("forward",), 64, "no port was given"),
        (("workspace", "nothing"), 66, "no project"),
        (("ssh-config",), 64, "in no project that is mounted"),
    ],
)
def test_bad_words_are_one_clear_line(mine: Laptop, words: tuple[str, ...], status: int, says: str) -> None:
    done = mine.enc(*words)
    assert (done.status, done.err.count("\n")) == (status, 1) and says in done.err, done


def test_a_home_in_the_project_stays(mine: Laptop) -> None:
    assert mine.enc("workspace", "p", "--home", "--", "echo kept >~/settings; pwd").out == "/projects/p/.enc-home\n"
    assert mine.enc("ssh-config", "p", "--home").status == 0
    assert mine.enc("unmount", "p").status == 0
    mine.mount("p")
    assert ssh(mine, "enc-p", "cat ~/settings").out == "kept\n"
    assert mine.enc("workspace", "p", "--", "stat -c %a ~").out == "700\n"
    other = mine.enc("ssh-config", "p")
    assert other.status == 0, other
    refused = mine.enc("workspace", "p", "--", "true")
    assert (refused.status, refused.err.count("\n")) == (75, 1) and "with a home in the project" in refused.err, refused
