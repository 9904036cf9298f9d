"""The restricted prompt: `ssh -t gateway`."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rshell.language.verbs import VERBS
from tests.harness import PASSPHRASE, PROMPT, Gateway, Person, Terminal, eventually


def answer(terminal: Terminal, line: str) -> str:
    """What is shown for `line`, up to the next prompt."""
    terminal.send(line + "\n")
    return terminal.expect(PROMPT)


def unlock(terminal: Terminal, project: str) -> None:
    terminal.send(f"mount {project}\n")
    terminal.expect(f"Passphrase of {project}: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(f"unlocked {project}")
    terminal.expect(PROMPT)


def test_the_prompt_says_who_you_are_and_how_to_get_help(person: Person) -> None:
    terminal = person.terminal()
    greeting = terminal.expect(PROMPT)
    assert f"enc: you are {person.name}@test. " in greeting and "`help`" in greeting
    terminal.send("exit\n")
    assert terminal.wait() == 0


def test_help_lists_the_commands(prompt: Terminal) -> None:
    shown = answer(prompt, "help")
    assert all(verb.summary in shown for verb in VERBS.values())
    assert "usage: mount PROJECT" in answer(prompt, "help mount")
    assert "usage: mount PROJECT" in answer(prompt, "mount --help")


def test_the_same_commands_work(person: Person, project: str, prompt: Terminal) -> None:
    assert person.fingerprint in answer(prompt, "whoami")
    assert f"{project}" in answer(prompt, "ls")
    prompt.send("new second\n")
    prompt.expect("New passphrase: ")
    prompt.send(PASSPHRASE + "\n")
    prompt.expect("again: ")
    prompt.send(PASSPHRASE + "\n")
    prompt.expect("created second")
    prompt.expect(PROMPT)
    assert "removed second" in answer(prompt, "rm second --yes")
    assert "no sessions" in answer(prompt, "status")
    assert PASSPHRASE not in prompt.seen


def test_tab_completes_commands_projects_and_options(person: Person, project: str, prompt: Terminal) -> None:
    prompt.send("who\t")
    prompt.expect("whoami ")
    assert person.fingerprint in answer(prompt, "")
    prompt.send("help unm\t\n")
    prompt.expect("usage: unmount")
    prompt.expect(PROMPT)
    prompt.send(f"rm {project[:3]}\t")
    prompt.expect(f"rm {project} ")
    prompt.send("--y\t\n")
    prompt.expect(f"removed {project}")


def test_mount_at_the_prompt_serves_other_connections(person: Person, project: str, prompt: Terminal) -> None:
    unlock(prompt, project)
    assert person.sftp(f"mkdir {project}/d", f"ls {project}").status == 0
    assert project in answer(prompt, "status")
    assert f"locked {project}" in answer(prompt, f"unmount {project}")
    assert person.sftp(f"ls {project}").status != 0
    assert PASSPHRASE not in prompt.seen


def test_two_projects_at_one_prompt_share_a_session(person: Person, project: str, prompt: Terminal) -> None:
    person.new("second")
    unlock(prompt, project)
    unlock(prompt, "second")
    assert person.sftp("ls -1").out.split()[-2:] == [project, "second"]
    sessions = person.ssh("status", "--json").json["sessions"]
    assert isinstance(sessions, list) and len(sessions) == 1
    assert "closed s-" in answer(prompt, "logout")
    assert person.ssh("status", "--json").json == {"sessions": []}
    unlock(prompt, project)


def test_a_wrong_passphrase_at_the_prompt_leaves_the_prompt(person: Person, project: str, prompt: Terminal) -> None:
    prompt.send(f"mount {project}\n")
    prompt.expect(": ")
    prompt.send("not the passphrase\n")
    prompt.expect("wrong passphrase")
    prompt.expect(PROMPT)
    unlock(prompt, project)


def fail(prompt: Terminal, project: str) -> None:
    prompt.send(f"mount {project}\n")
    prompt.expect(f"Passphrase of {project}: ")
    prompt.send("a wrong one\n")


def test_ctrl_c_in_the_wait_after_wrong_passphrases_ends_the_attempt(
    person: Person, project: str, prompt: Terminal
) -> None:
    """Its lock would keep everybody of the principal from unlocking anything, for as long as the prompt is open."""
    for _ in range(3):
        fail(prompt, project)
        prompt.expect(PROMPT)
    fail(prompt, project)
    prompt.expect("waiting")
    prompt.send("\x03")
    prompt.expect(PROMPT)
    with person.mounted(project):
        assert person.ssh("unmount", project).status == 0
    unlock(prompt, project)


def test_ctrl_c_at_the_question_for_a_passphrase_gives_the_place_back(make_gateway: Callable[..., Gateway]) -> None:
    who = make_gateway(**{"limits.views": "1"}).person("hesitant")
    who.new("work")
    prompt = who.terminal()
    try:
        prompt.expect(PROMPT)
        prompt.send("mount work\n")
        prompt.expect("Passphrase of work: ")
        prompt.send("\x03")
        prompt.expect(PROMPT)
        unlock(prompt, "work")
    finally:
        prompt.close()


def test_ctrl_c_drops_the_line_and_nothing_else(person: Person, project: str, prompt: Terminal) -> None:
    unlock(prompt, project)
    prompt.send(f"unmount {project}")
    prompt.expect(f"unmount {project}")
    prompt.send("\x03")
    prompt.expect(PROMPT)
    assert project in answer(prompt, "status")
    assert person.sftp(f"ls {project}").status == 0


BURSTS = [
    pytest.param(bytes(number for number in range(1, 20) if number != 4), id="most control bytes"),
    pytest.param(b"\x03\x1c", id="two signals at once"),
    pytest.param(b"\x12\x18a", id="a search, and a key of two bytes"),
]


@pytest.mark.parametrize("burst", BURSTS)
def test_control_bytes_in_a_burst_do_not_end_the_prompt(person: Person, prompt: Terminal, burst: bytes) -> None:
    """Readline loses some signals of a burst, and has crashed on some keys."""
    for _ in range(3):
        prompt.send_bytes(burst)
        time.sleep(0.1)
        prompt.send_bytes(b"\x11\x03")  # Ctrl-Q: the terminal goes on
        time.sleep(1)  # until a signal that was lost is raised again
    prompt.send("\nwhoami\n")
    prompt.expect(person.fingerprint)
    assert not [word for word in ("Traceback", "KeyboardInterrupt", "Exception") if word in prompt.seen]


def test_ctrl_c_while_a_word_is_completed_drops_the_line(person: Person, prompt: Terminal) -> None:
    prompt.send("whoami")
    prompt.expect("whoami")
    prompt.send("\x03\t")
    prompt.expect(PROMPT)
    assert person.fingerprint not in answer(prompt, "")


def test_ctrl_c_at_a_question_changes_nothing(person: Person, project: str, prompt: Terminal) -> None:
    prompt.send(f"mount {project}\n")
    prompt.expect(": ")
    prompt.send("\x03")
    prompt.expect("enc: interrupted")
    prompt.expect(PROMPT)
    prompt.send("whoami\n")  # the echo is back
    prompt.expect("whoami")
    assert person.fingerprint in prompt.expect(PROMPT)


def test_ctrl_d_leaves_and_locks(gateway: Gateway, person: Person, project: str) -> None:
    terminal = person.terminal()
    terminal.expect(PROMPT)
    unlock(terminal, project)
    terminal.send("\x04")
    assert terminal.wait() == 0
    assert person.ssh("status", "--json").json == {"sessions": []}
    eventually(lambda: not gateway.leftovers())


def test_closing_the_window_locks(gateway: Gateway, person: Person, project: str) -> None:
    terminal = person.terminal()
    terminal.expect(PROMPT)
    unlock(terminal, project)
    terminal.close()
    eventually(lambda: person.ssh("status", "--json").json == {"sessions": []})
    eventually(lambda: not gateway.leftovers())


@pytest.mark.parametrize("verb", [name for name, verb in VERBS.items() if verb.is_transfer])
def test_transfers_are_not_for_the_prompt(gateway: Gateway, person: Person, prompt: Terminal, verb: str) -> None:
    assert f"enc: {verb} does not work at the prompt" in answer(prompt, verb)
    denied = gateway.events("request", fingerprint=person.fingerprint, decision="deny")
    assert [record["reason"] for record in denied] == ["not-allowed-here"]


def test_a_second_session_is_not_for_the_prompt(prompt: Terminal) -> None:
    assert "enc: this connection has a session already" in answer(prompt, "session")


def test_unknown_commands_are_refused_and_the_prompt_goes_on(
    gateway: Gateway, person: Person, prompt: Terminal
) -> None:
    for line in ("sh", "ls; id", "/bin/bash", "$(id)", "!ls", "cat < /etc/passwd"):
        shown = answer(prompt, line)
        assert "`help` lists the commands" in shown
        assert "uid=" not in shown and "root:" not in shown
    denied = gateway.events("request", fingerprint=person.fingerprint, decision="deny")
    assert {record["reason"] for record in denied} == {"unknown-command"}


def test_no_history_and_no_other_file_appears_on_disk(gateway: Gateway, person: Person, project: str) -> None:
    home = Path(pwd.getpwnam(str(gateway.ready["account"])).pw_dir)

    def files() -> set[str]:
        own = {str(path) for path in gateway.root.rglob("*") if "run" not in path.relative_to(gateway.root).parts}
        return own | {str(home / name) for name in os.listdir(home)}

    before = files()
    terminal = person.terminal()
    terminal.expect(PROMPT)
    answer(terminal, "whoami")
    answer(terminal, "telltale")
    answer(terminal, "\x1b[A")
    terminal.send("\x04")
    assert terminal.wait() == 0
    assert files() == before
    for path in gateway.root.rglob("*"):
        assert not path.is_file() or b"telltale" not in path.read_bytes()
