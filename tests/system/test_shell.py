"""`shell`, and `run` with a terminal: what a person at a terminal expects of one, and that it ends when they leave."""

from __future__ import annotations

import fcntl
import struct
import termios
import threading
from collections.abc import Iterator

import pytest

from tests.harness import Gateway, Terminal, eventually
from tests.running import UnlockedProject, unlocked_project


@pytest.fixture(scope="module")
def at(gateway: Gateway) -> Iterator[UnlockedProject]:
    """One unlocked project for all tests here."""
    with unlocked_project(gateway, "typist") as made:
        yield made


def resize(terminal: Terminal, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def shell(at: UnlockedProject) -> Terminal:
    """`ssh -t gateway shell PROJECT`, at its prompt."""
    terminal = at.person.terminal("shell", at.project, extra=at.shared)
    terminal.expect("$ ")
    return terminal


def running(gateway: Gateway, argv: str) -> bool:
    return argv in gateway.processes().values()


def test_a_shell_is_at_home_in_the_project(at: UnlockedProject) -> None:
    terminal = shell(at)
    terminal.send("pwd; echo $HOME $TERM; tty; echo made > here; exit 3\n")
    terminal.expect(f"/projects/{at.project}\r\n/home/enc ")
    terminal.expect("/dev/console\r\n")
    assert terminal.wait() == 3
    assert "job control" not in terminal.seen
    assert at.run("cat", "here").out == "made\n"


def test_control_c_reaches_the_program_and_not_the_connection(at: UnlockedProject) -> None:
    terminal = shell(at)
    terminal.send("sleep 4711; echo came $?\n")
    eventually(lambda: running(at.gateway, "sleep 4711"))
    terminal.send("\x03")
    eventually(lambda: not running(at.gateway, "sleep 4711"))
    terminal.send("echo still $((40 + 2))\n")
    terminal.expect("still 42")
    terminal.send("sleep 4712\n")
    eventually(lambda: running(at.gateway, "sleep 4712"))
    terminal.send("\x1a")
    terminal.expect("Stopped")
    terminal.send("kill -CONT %1; kill %1; wait; exit 0\n")
    assert terminal.wait() == 0
    # exec: dash loses a signal that comes while it starts a program
    once = at.terminal("sh", "-c", "echo up; exec sleep 600")
    once.expect("up")
    once.send("\x03")
    assert once.wait() == 130


def test_the_window_s_size_follows(at: UnlockedProject) -> None:
    terminal = Terminal(at.person.argv(*at.words("sh"), extra=("-tt", *at.shared)))
    terminal.expect("$ ")
    resize(terminal, 33, 101)

    def size() -> bool:
        terminal.send("stty size; echo done\n")
        return "33 101" in terminal.expect("done\r\n")

    eventually(size)
    terminal.send("exit\n")
    assert terminal.wait() == 0


def test_a_program_sees_a_terminal_only_where_there_is_one(at: UnlockedProject) -> None:
    terminal = at.terminal("sh", "-c", "test -t 0 && test -t 1 && test -t 2 && : > /dev/tty && echo all")
    terminal.expect("all")
    assert terminal.wait() == 0
    assert at.sh("test -t 0 || test -t 1 || test -t 2").status == 1
    assert at.sh(": > /dev/tty").status != 0


def test_much_typed_and_much_shown_do_not_stand_in_each_others_way(at: UnlockedProject) -> None:
    terminal = at.terminal("sh", "-c", "stty raw -echo; echo go; seq 40000; head -c 100000 | wc -c; echo finished")
    terminal.expect("go")
    typing = threading.Thread(target=terminal.send, args=("x" * 100_000,))
    typing.start()  # while we read what is shown: ssh itself would wait for us otherwise
    terminal.expect("40000")
    terminal.expect("100000")
    terminal.expect("finished")
    typing.join()
    assert terminal.wait() == 0


def test_without_a_terminal_a_shell_takes_commands_from_its_input(at: UnlockedProject) -> None:
    result = at.person.ssh("shell", at.project, stdin="echo one\nexit 4\n", extra=at.shared)
    assert (result.status, result.out) == (4, "one\n")


def test_closing_the_window_ends_it(at: UnlockedProject) -> None:
    terminal = Terminal(at.person.argv("shell", at.project, extra=("-tt",)))
    terminal.expect("$ ")
    terminal.send("trap '' HUP TERM; sleep 98765 & wait; echo started\n")
    eventually(lambda: running(at.gateway, "sleep 98765"))
    terminal.close()
    eventually(lambda: not running(at.gateway, "sleep 98765"), 15)


def test_a_shell_ends_when_its_project_is_locked(gateway: Gateway) -> None:
    with unlocked_project(gateway, "typist-locked") as at:
        terminal = shell(at)
        assert at.person.ssh("unmount", at.project, extra=at.shared).status == 0
        assert terminal.wait() != 0


def test_the_prompt_runs_programs_too(at: UnlockedProject) -> None:
    prompt = at.person.terminal(extra=at.shared)
    prompt.expect("enc> ")
    prompt.send(f"run {at.project} -- sh -c 'stty -echo; echo type; read word; echo got $word'\n")
    prompt.expect("type\r\n")
    prompt.send("this\n")
    prompt.expect("got this")
    prompt.expect("enc> ")
    prompt.send("whoami\n")
    prompt.expect("principal")
    prompt.expect("enc> ")
    prompt.send("\x04")
    assert prompt.wait() == 0
