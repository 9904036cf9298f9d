"""`enc` belongs to terminals: what ends with a window, a shell, a script, or a desktop, and what does not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Terminal, bindir, eventually, open_files, stays
from tests.laptop import PROMPT, Laptop, is_alive, kill, laptop

SOON = 2.0 + 3.0
"""Seconds: what is promised after a terminal's end, and the slowness of a busy machine."""


@pytest.fixture
def mine(person: Person) -> Iterator[Laptop]:
    """A machine whose user has the projects `one` and `two`."""
    person.new("one")
    person.new("two")
    with laptop(person) as made:
        yield made


def test_a_passphrase_is_not_shown_and_is_in_no_argv_environment_file_or_log(mine: Laptop) -> None:
    terminal = mine.terminal()
    at = mine.mount_in(terminal, "one")
    assert os.path.ismount(at)
    assert PASSPHRASE not in terminal.seen
    for pid in mine.processes():
        for name in ("cmdline", "environ"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a probe ends when it has its answer
                assert PASSPHRASE.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    for path in (path for path in mine.root.rglob("*") if path.is_file() and at not in path.parents):
        assert PASSPHRASE not in path.read_text(errors="replace")
    terminal.close()
    eventually(mine.is_clean, SOON)


def _close(terminal: Terminal) -> None:
    terminal.close()


def _kill(number: signal.Signals) -> Callable[[Terminal], None]:
    return lambda terminal: os.kill(terminal.pid, number)


ENDS = [
    pytest.param(_close, id="window-closed"),
    pytest.param(_kill(signal.SIGKILL), id="shell-killed"),
    pytest.param(_kill(signal.SIGHUP), id="shell-hung-up"),
    pytest.param(lambda terminal: terminal.send("exit\n"), id="shell-exited"),
]


@pytest.mark.parametrize("end", ENDS)
def test_when_the_terminal_ends_everything_is_unmounted_locked_and_closed(
    mine: Laptop, end: Callable[[Terminal], None]
) -> None:
    terminal = mine.terminal()
    at = mine.mount_in(terminal, "one")
    (at / "file").write_text("content")
    end(terminal)
    eventually(lambda: not mine.entries() and not mine.views(), SOON)
    eventually(mine.is_clean, SOON)
    assert [event["reason"] for event in mine.gateway.events("locked", fingerprint=mine.who.fingerprint)] == ["logout"]
    assert (mine.mount("one") / "file").read_text() == "content"


@pytest.mark.parametrize("killed", ["watchdog", "monitor"])
def test_when_one_of_them_is_killed_and_the_shell_at_once_the_other_does_its_work(mine: Laptop, killed: str) -> None:
    terminal = mine.terminal()
    mine.mount_in(terminal, "one")
    (known,) = mine.state.terminals.values()
    kill(known.watchdog if killed == "watchdog" else mine.mounted("one").monitor)
    os.kill(terminal.pid, signal.SIGKILL)
    eventually(lambda: not mine.entries() and not mine.views(), SOON)
    eventually(mine.is_clean, SOON)


def test_a_hang_up_does_not_end_watchdog_or_monitor_and_a_logout_of_the_desktop_ends_all(mine: Laptop) -> None:
    terminal = mine.terminal()
    mine.mount_in(terminal, "one")
    (known,) = mine.state.terminals.values()
    monitor = mine.mounted("one").monitor
    for each in (known.watchdog, monitor):
        assert each and os.getsid(each.pid) == each.pid, "it is in the terminal's session"
        assert os.readlink(f"/proc/{each.pid}/cwd") == "/"
        assert not [path for path in open_files(each.pid) if path.startswith("/dev/pts")]
        kill(each, signal.SIGHUP)
    stays(lambda: is_alive(known.watchdog) and is_alive(monitor), 1)
    kill(known.watchdog, signal.SIGTERM)
    eventually(mine.is_clean, SOON)
    terminal.close()


def test_a_script_is_a_terminal_and_detach_stays(mine: Laptop) -> None:
    script = f"echo '{PASSPHRASE}' | enc mount one && ls ~/enc/one && sleep 1"
    assert subprocess.run([*mine.environment(), "sh", "-c", f"{script}; true"], check=False).returncode == 0
    eventually(mine.is_clean, SOON)
    script = f"echo '{PASSPHRASE}' | enc mount --detach one"
    assert subprocess.run([*mine.environment(), "sh", "-c", f"{script}; true"], check=False).returncode == 0
    stays(lambda: len(mine.entries()) == 1 and mine.views() == ["one"], 4)
    assert mine.enc("unmount", "one").status == 0
    eventually(mine.is_clean, SOON)


def test_two_terminals_share_a_session_and_the_last_one_to_go_closes_it(mine: Laptop) -> None:
    first, second = mine.terminal(), mine.terminal()
    mine.mount_in(first, "one")
    session = mine.state.connection
    mine.mount_in(second, "two")
    assert mine.state.connection == session
    assert sorted(mine.views()) == ["one", "two"]
    first.close()
    eventually(lambda: mine.views() == ["two"] and len(mine.entries()) == 1, SOON)
    stays(lambda: mine.views() == ["two"] and mine.state.connection == session, 1)
    second.send("enc logout\n")
    second.expect("logged out")
    eventually(mine.is_clean, SOON)
    second.close()


def test_two_gateways_at_once(mine: Laptop, make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    other = make_gateway()
    stranger = other.person("else")
    stranger.new("one")
    there = {"ENC_SSH_CONFIG": str(other.ssh_config), "ENC_IDENTITY": str(stranger.key)}
    at = mine.mount("one")
    (at / "file").write_text("here")
    done = mine.enc("mount", "one", str(tmp_path / "one"), stdin=PASSPHRASE + "\n", **there)
    assert done.status == 0, done
    assert list((tmp_path / "one").iterdir()) == [] and (at / "file").read_text() == "here"
    assert mine.enc("logout", **there).status == 0
    assert not (tmp_path / "one").exists()
    stays(lambda: (at / "file").read_text() == "here", 1)
    assert mine.enc("logout").status == 0


def test_open_ends_with_its_shell_and_has_its_status(mine: Laptop) -> None:
    terminal = mine.terminal(SHELL="/bin/sh")
    terminal.send("enc open one; echo status-$?\n")
    terminal.expect("Passphrase of one: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect("it is locked when this shell ends")
    eventually(lambda: mine.views() == ["one"])
    terminal.send("pwd; echo x > file; exit 7\n")
    terminal.expect("/enc/one")
    terminal.expect("locked one")
    terminal.expect("status-7")
    terminal.expect(PROMPT)
    eventually(mine.is_clean, SOON)
    terminal.close()


def test_what_the_gateway_warns_of_is_said_on_the_terminal(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway(**{"idle.view": "7", "idle.session": "30", "idle.warning": "4"})
    who = gateway.person("idler")
    who.new("one")
    with laptop(who) as mine:
        terminal = mine.terminal()
        mine.mount_in(terminal, "one")
        began = time.monotonic()
        terminal.expect("one will be locked in ", 12)
        terminal.expect(": it was idle for ", 12)
        assert time.monotonic() - began < 20
        assert not mine.entries() and mine.views() == []
        terminal.close()


def test_run_streams_and_keeps_the_exit_status_and_has_a_terminal_when_there_is_one(mine: Laptop) -> None:
    terminal = mine.terminal()
    at = mine.mount_in(terminal, "one")
    (at / "file").write_text("content")
    done = mine.enc("run", "one", "--json", "--", "sh", "-c", "cat file -; echo err >&2; exit 7", stdin="+in")
    assert (done.status, done.out, done.err) == (7, "content+in", "err\n")
    terminal.send("enc run one -- sh -c 'test -t 0 && exit 3'; echo status-$?\n")
    terminal.expect("status-3")
    terminal.close()
    eventually(mine.is_clean, SOON)
    assert mine.enc("run", "one", "--", "true").status == 69, "it is not unlocked"


def test_the_zipapp_is_one_file_that_does_it_all(mine: Laptop) -> None:
    script = Path(__file__).parents[2] / "script" / "zipapp"
    made = subprocess.run([str(script), f"{mine.root}/enc"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made
    assert mine.enc("--version", PATH=f"{mine.root}:{os.environ['PATH']}").out.startswith("enc ")
    terminal = mine.terminal(PATH=f"{mine.root}:{os.environ['PATH']}")
    at = mine.mount_in(terminal, "one")
    (at / "file").write_text("content")
    (known,) = mine.state.terminals.values()
    assert f"{mine.root}/enc" in mine.processes()[known.watchdog.pid if known.watchdog else 0]
    kill(mine.mounted("one").sshfs)
    terminal.expect("one is no longer mounted at", SOON)
    terminal.close()
    eventually(mine.is_clean, SOON)


def test_a_login_whose_connection_ends_is_told_and_an_interrupted_mount_leaves_nothing(mine: Laptop) -> None:
    terminal = mine.terminal()
    terminal.send("enc mount one\n")
    terminal.expect("Passphrase of one: ")
    terminal.send("\x03")
    terminal.expect("enc: interrupted")
    eventually(mine.is_clean, SOON)
    terminal.send("enc login\n")
    terminal.expect("logged in to gateway")
    connection = mine.state.connection
    assert connection
    kill(connection.master)
    terminal.expect("the connection to the gateway has closed", SOON)
    eventually(mine.is_clean, SOON)
    terminal.close()


def test_where_there_is_a_desktop_a_fault_is_told_there_too_with_fixed_words_before_ours(mine: Laptop) -> None:
    tools, told = mine.root / "tools", mine.root / "told"
    tools.mkdir()
    program = tools / "notify-send"
    program.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done >>{told}\n')
    program.chmod(0o700)
    at = mine.mount("one", PATH=f"{tools}:{bindir()}:{os.environ['PATH']}", DISPLAY=":9")
    kill(mine.mounted("one").sshfs)
    eventually(lambda: told.exists() and told.read_text().endswith("it is locked\n"), 3 + SOON)
    eventually(lambda: "one" not in mine.state.mounts)
    words = told.read_text().splitlines()
    assert words[:3] == ["--app-name=enc", "--", "enc"] and len(words) == 4, "once, and as one word"
    assert words[3].startswith(f"one is no longer mounted at {at}: ")
