"""Ctrl-C, a window that is closed, SIGTERM: whenever they come, a front ends in its own words and its record."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Terminal, eventually

PROMPT = "enc> "
MOMENTS = [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.3, 0.5]
"""Seconds after the start of ssh: sshd's shell, the interpreter's start, its imports, our reading of a secret."""

Record = dict[str, object]


def requests(person: Person, **fields: object) -> list[tuple[Record, list[Record]]]:
    """Each request of `person`, and the results that it has."""
    gateway = person.gateway
    mine = gateway.events("request", fingerprint=person.fingerprint, **fields)
    return [(one, gateway.events("result", request=one["request"])) for one in mine]


def fronts(gateway: Gateway) -> list[int]:
    return [pid for pid, words in gateway.processes().items() if "rshell/__main__" in words]


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_moment_is_never_answered_by_python(person: Person, moment: float) -> None:
    terminal = person.terminal("new", "never")
    time.sleep(moment)
    for _ in itertools.count():
        try:
            terminal.send("\x03")
            status = terminal.wait(0.3)
        except AssertionError:  # too early for anybody to have seen it
            continue
        except OSError:
            status = terminal.wait()
        break
    assert not [word for word in ("Traceback", "KeyboardInterrupt", "Exception ignored") if word in terminal.seen]
    # 255 or a signal: ssh or sshd's shell ended before there was an interpreter
    assert status == 130 or status == 255 or status < 0, terminal.seen
    assert (status == 130) is ("enc: interrupted" in terminal.seen)
    for _request, results in requests(person):
        assert [result["status"] for result in results] == [130]
    assert not (person.vault("never")).exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_front_that_waits_for_a_secret_records_its_end(person: Person, project: str, number: signal.Signals) -> None:
    terminal = person.terminal("mount", project)
    terminal.expect("Passphrase")
    front = eventually(lambda: fronts(person.gateway)[-1] if len(fronts(person.gateway)) == 1 else 0)
    os.kill(front, number)
    assert terminal.wait() == 128 + number
    ((_request, results),) = requests(person, verb="mount")
    assert [result["status"] for result in results] == [128 + number]


def test_a_front_over_its_limit_of_processor_time_says_so_and_records_its_end(person: Person) -> None:
    terminal = person.terminal()
    terminal.expect(PROMPT)
    front = eventually(lambda: fronts(person.gateway)[-1] if len(fronts(person.gateway)) == 1 else 0)
    os.kill(front, signal.SIGXCPU)
    assert terminal.wait() == 128 + signal.SIGXCPU
    assert "enc: stopped: it used too much processor time" in terminal.seen
    ((_request, results),) = requests(person, verb="prompt")
    assert [result["status"] for result in results] == [128 + signal.SIGXCPU]


def test_ctrl_z_stops_nothing(person: Person, project: str) -> None:
    terminal = person.terminal("mount", project)
    terminal.expect("Passphrase")
    terminal.send("\x1a")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(f"unlocked {project}")
    terminal.send("\x1a")
    assert person.ssh("unmount", project).status == 0
    assert terminal.wait() == 0


@pytest.mark.parametrize(("verb", "question"), [("rm", "again to remove it"), ("mount", "Passphrase of")])
def test_a_window_closed_at_a_question_leaves_a_request_with_a_result(
    person: Person, project: str, verb: str, question: str
) -> None:
    terminal = person.terminal(verb, project)
    terminal.expect(question)
    terminal.close()
    eventually(lambda: requests(person, verb=verb)[0][1])
    assert [result["status"] for result in requests(person, verb=verb)[0][1]] == [129]
    assert person.gateway.events("fault", fingerprint=person.fingerprint) == []
    assert person.vault(project).is_dir()


def test_a_window_closed_at_the_prompt_is_a_hang_up_and_not_a_wish(person: Person, project: str) -> None:
    terminal = person.terminal()
    terminal.expect(PROMPT)
    terminal.send(f"mount {project}\n")
    terminal.expect(": ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(f"unlocked {project}")
    terminal.close()
    (closed,) = eventually(lambda: person.gateway.events("session-closed", principal=person.fingerprint))
    assert closed["reason"] == "hangup"
    eventually(lambda: requests(person, verb="prompt")[0][1])
    assert [result["status"] for result in requests(person, verb="prompt")[0][1]] == [129]


def test_ctrl_c_while_a_project_is_made_leaves_all_of_it_or_nothing(person: Person) -> None:
    for tries in range(4):
        name = f"maybe{tries}"
        terminal = person.terminal("new", name)
        terminal.expect("New passphrase: ")
        terminal.send(PASSPHRASE + "\n")
        terminal.expect("again: ")
        terminal.send(PASSPHRASE + "\n")
        time.sleep(0.03 * tries)
        terminal.send("\x03")
        terminal.wait()
        made = person.vault(name).exists()
        assert made is (f"created {name}" in terminal.seen), terminal.seen
        assert len(person.gateway.events("created", principal=person.fingerprint, project=name)) == int(made)
    home: Path = person.vault("maybe0").parent
    assert not [path for path in home.iterdir() if path.name.startswith(".new-")]


def test_a_terminal_that_stops_background_output_does_not_stop_the_session(person: Person, project: str) -> None:
    """`stty tostop` comes along with the client's terminal, and a prompt's session speaks from the background."""
    terminal = Terminal(["sh", "-c", 'stty tostop && exec "$@"', "sh", *person.argv(extra=("-tt",))])
    terminal.expect(PROMPT)
    terminal.send(f"mount {project}\n")
    terminal.expect(": ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(f"unlocked {project}")
    assert person.ssh("unmount", project).status == 0
    terminal.expect(f"locked {project}: as you asked")
    assert person.ssh("logout").status == 0
    terminal.close()
