"""`enc` knows where one stands: run, shell and open in a mount, who uses it, idle limits, tables for people."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Person, Terminal, eventually, need
from tests.laptop import PROMPT, Laptop, laptop, typed


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    """A machine whose user has the project `parser`."""
    person.new("parser")
    with laptop(person) as made:
        yield made


@pytest.fixture
def terminal(mine: Laptop) -> Iterator[Terminal]:
    """A terminal of 80 columns with the project mounted."""
    opened = mine.terminal()
    opened.resize(24, 80)
    mine.mount_in(opened, "parser")
    yield opened
    opened.close()


def test_run_in_a_mount_knows_the_project_and_the_directory(mine: Laptop, terminal: Terminal) -> None:
    at = Path(mine.mounted("parser").directory)
    (at / "src" / "li b").mkdir(parents=True)
    rows = {
        f"cd '{at}'; enc run -- pwd": "/projects/parser\n",
        f"cd '{at}/src/li b'; enc run -- pwd": "/projects/parser/src/li b\n",
        "enc run parser -- pwd": "/projects/parser/src/li b\n",
        "enc run -C .. -- pwd": "/projects/parser/src\n",
        "cd; enc run parser -C 'src/li b' -- pwd": "/projects/parser/src/li b\n",
        "enc run -P parser -- pwd": "/projects/parser\n",
        "enc run parser pwd": "/projects/parser\n",
    }
    for words, said in rows.items():
        assert typed(terminal, words) == said, words
    assert "enc: parser/none is no directory" in typed(terminal, "enc run parser -C none -- pwd")
    for outside in ("../..", "/etc"):
        assert "is not in parser" in typed(terminal, f"cd {at}; enc run -C {outside} -- pwd")
    said = typed(terminal, "cd; enc run -- pwd")
    assert "the current directory is in no project that is mounted; name it: `enc run PROJECT -- CMD`" in said
    assert "name it: `enc shell PROJECT`, or" in typed(terminal, "enc shell")
    assert "`cd; enc unmount parser` for this one" in typed(terminal, f"cd {at}; enc unmount")
    assert mine.enc("unmount", "--force", "parser").status == 0
    assert "the current directory is gone: its mount has ended" in typed(terminal, "enc run -- pwd")


def test_a_program_that_is_missing_is_told_in_our_words(mine: Laptop, terminal: Terminal) -> None:
    at = Path(mine.mounted("parser").directory)
    (at / "plain").write_text("")
    rows = {
        "nosuch": (127, "the gateway has no program nosuch; ask your sysadmin, or name a path in the project"),
        "./nosuch": (127, "there is no program ./nosuch in parser"),
        "./plain": (126, "./plain is not executable; `chmod +x` makes it so"),
        "./": (126, "./ is a directory"),
        "-x": (127, "the gateway has no program -x; ask your sysadmin, or name a path in the project"),
    }
    for program, (status, words) in rows.items():
        done = mine.enc("run", "parser", "--", program, "a b")
        assert (done.status, done.err) == (status, f"enc: {words}\n"), done
    done = mine.enc("run", "parser", "--", "printf", "%s|", "$HOME", "a b", "`id`", "")
    assert (done.status, done.out) == (0, "$HOME|a b|`id`||")


def test_a_shell_has_the_project_in_its_prompt(mine: Laptop, terminal: Terminal) -> None:
    (Path(mine.mounted("parser").directory) / "src").mkdir()
    terminal.send("cd ~/enc/parser/src; enc shell\n")
    terminal.expect("/projects/parser/src$ ")
    terminal.send("exit\n")
    terminal.expect(PROMPT)


def test_open_of_what_is_mounted_opens_it_and_leaves_it_mounted(mine: Laptop, terminal: Terminal) -> None:
    terminal.send("SHELL=/bin/sh enc open parser\n")
    terminal.expect("and stays mounted when this shell ends")
    terminal.send("pwd; exit 7\n")
    terminal.expect("/enc/parser\r\n")
    terminal.expect(PROMPT)
    assert mine.views() == ["parser"]


def test_in_the_shell_of_open_enc_says_that_the_mount_ends_with_it(mine: Laptop, terminal: Terminal) -> None:
    typed(terminal, "enc unmount parser")
    terminal.send("SHELL=/bin/sh enc open parser\n")
    terminal.expect("Passphrase of parser: ")
    terminal.send(f"{PASSPHRASE}\n")
    terminal.expect("it is locked when this shell ends")
    terminal.send("enc\n")
    terminal.expect("parser is mounted at ~/enc/parser: until `enc open` ends")
    terminal.send("exit\n")
    terminal.expect("locked parser")


def test_editor_is_honoured_after_visual(mine: Laptop, terminal: Terminal) -> None:
    assert "opened .\n" in typed(terminal, "EDITOR='echo opened' enc open --editor parser")
    assert "seen .\n" in typed(terminal, "VISUAL='echo seen' EDITOR='echo opened' enc open --editor parser")
    assert "neither VISUAL nor EDITOR is set" in typed(terminal, "enc open --editor parser")


def test_a_clone_of_a_project_finds_its_git_as_git_does(mine: Laptop, terminal: Terminal) -> None:
    need(Path("/usr/bin/git").exists(), "git")
    script = "git init -q -b main . && git -c user.name=A -c user.email=a@b commit -q --allow-empty -m first"
    assert mine.enc("run", "parser", "--", "sh", "-c", script).status == 0
    assert mine.enc("run", "parser", "--", "git", "init", "-q", "--bare", "r.git").status == 0
    ssh = " ".join(["ssh", *mine.who.options])
    for path, name in (("parser", "plain"), ("parser/.git", "dotted"), ("parser/r", "bare")):
        words = [*mine.environment(GIT_SSH_COMMAND=ssh), "git", "clone", "-q", f"gateway:{path}", f"{mine.root}/{name}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (path, done)
    assert (mine.root / "plain/.git/HEAD").exists()


def test_a_shell_in_the_mount_is_told_to_leave_it_and_enc_does_not_name_itself(
    mine: Laptop, terminal: Terminal
) -> None:
    said = typed(terminal, "cd ~/enc/parser; enc unmount parser")
    assert said == "enc: parser is in use by this shell; `cd` first, or `enc unmount --force parser`\n"
    with (Path(mine.mounted("parser").directory) / "file").open("w"):
        said = typed(terminal, "enc unmount parser")
    assert re.fullmatch(
        r"enc: parser is in use by this shell and \S+ \(\d+\); `cd` first and close them, or .*\n", said
    )


def test_logout_counts_who_stays(mine: Laptop, terminal: Terminal) -> None:
    mine.who.new("other")
    mine.mount("other", "--detach")
    assert typed(terminal, "enc logout").endswith("; the connection stays open for other, detached\n")
    second = mine.terminal()
    typed(second, "enc login")
    typed(terminal, "enc login")
    said = typed(terminal, "enc logout")
    assert said.endswith("; the connection stays open for 1 other terminal and other, detached\n")
    second.close()


def test_idle_shows_the_limit_and_applies_a_new_one_at_once(mine: Laptop, terminal: Terminal) -> None:
    def locks_in() -> int:
        (session,) = json.loads(mine.enc("status", "--json").out)["sessions"]
        return int(session["views"][0]["locks_in"])

    assert typed(terminal, "enc idle parser") == "parser is locked after 10 min without use\n"
    assert locks_in() > 500
    assert typed(terminal, "enc idle parser 90") == "from now on, parser is locked after 1 min 30 s without use\n"
    assert 60 < locks_in() <= 90
    assert mine.enc("idle", "parser", "--json").json == {"project": "parser", "idle": 90}
    assert typed(terminal, "enc unmount parser").startswith("unmounted")
    assert typed(terminal, "enc idle parser 60").startswith("from its next mount on, ")


def test_tables_are_for_people_at_a_terminal_and_for_programs_elsewhere(mine: Laptop, terminal: Terminal) -> None:
    running = subprocess.Popen([*mine.environment(), "enc", "run", "parser", "--", "sleep", "60"])
    try:
        eventually(lambda: "sleep" in str(mine.gateway.session_processes()))
        shown = typed(terminal, "enc status")
        assert max(map(len, shown.splitlines())) <= 80, shown
        assert re.search(r"(?m)^parser +~/enc/parser +this terminal closes$", shown), shown
        assert f"key {mine.who.name}@test, since " in shown and "SHA256" not in shown and "127.0.0.1:" not in shown
        assert re.search(r"(?m)^parser +\S.* (ago|now) .* min", shown), shown
        assert not re.search(r"\d{4}-\d\d-\d\dT", shown)
    finally:
        running.kill()
        running.wait()
    assert re.search(r"(?m)^parser +unlocked .*(ago|just now)$", typed(terminal, "enc ls"))
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine.enc("ls").out), "a pipe gets what a program reads"
    assert mine.enc("ls").out == mine.who.ssh("ls").out
    (mount,) = json.loads(mine.enc("status", "--json").out)["mounts"]
    assert mount["condition"] == "watched" and mount["until"]
    there = mine.who.terminal("ls")
    there.wait()
    assert " ago" in there.seen or "just now" in there.seen
    mine.mount("parser") if "parser" not in mine.state.mounts else None


def test_a_project_without_a_time_was_never_used(mine: Laptop) -> None:
    lock = mine.who.vault("parser")
    for path in (lock / "holder", lock / "lock", lock / "vault.toml"):
        if path.exists():
            os.utime(path, (0, 0))
    assert re.search(r"(?m)^parser .* never$", mine.enc("ls").out), mine.enc("ls").out
    assert json.loads(mine.enc("ls", "--json").out)["projects"][0]["last_used"] == ""
