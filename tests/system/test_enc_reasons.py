"""Why a mount has ended: what the user reads is what the gateway says; and what a warning does to the screen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import Gateway, Terminal, admin, bindir, eventually, run, stays
from tests.laptop import PROMPT, Laptop, kill, laptop

FAULT = 3.0 + 2.0 + 3.0
"""Seconds: what is promised after a fault, and the slowness of a busy machine."""


@pytest.fixture
def mine(make_gateway: Callable[..., Gateway]) -> Iterator[Laptop]:
    """A machine whose user has the project `parser` on a gateway of its own."""
    who = make_gateway().person("dev1", "dev1")
    who.new("parser")
    with laptop(who) as made:
        yield made


def _kill_sessions(mine: Laptop) -> None:
    config = str(mine.gateway.root / "gateway.toml")
    assert run([str(bindir() / "enc-gateway"), "sessions", "--config", config, "kill", "--all"]).status == 0


def _revoke(mine: Laptop) -> None:
    assert admin(mine.gateway, "key", "revoke", mine.who.fingerprint).status == 0


def _pause(mine: Laptop) -> None:
    assert admin(mine.gateway, "pause", "--lock-now").status == 0


def _stop(mine: Laptop) -> None:
    mine.gateway.stop()


REASONS = [
    pytest.param(_kill_sessions, "your sysadmin ended your session", id="sessions kill"),
    pytest.param(_revoke, "your key was revoked, or it has expired", id="key revoke"),
    pytest.param(_pause, "your sysadmin paused the gateway", id="pause --lock-now"),
    pytest.param(_stop, "the gateway was shut down", id="SIGTERM"),
    pytest.param(lambda mine: mine.who.ssh("unmount", "parser"), "it was locked by `unmount`", id="unmount elsewhere"),
    pytest.param(lambda mine: mine.who.ssh("logout"), "you logged out elsewhere", id="logout elsewhere"),
    pytest.param(lambda mine: kill(mine.mounted("parser").sshfs), "sshfs has ended", id="sshfs killed"),
]


@pytest.mark.parametrize(("end", "why"), REASONS)
def test_the_reason_is_the_true_one_and_nothing_untrue_is_said(
    mine: Laptop, end: Callable[[Laptop], object], why: str
) -> None:
    terminal = mine.terminal()
    at = mine.mount_in(terminal, "parser")
    end(mine)
    terminal.expect(f"parser is no longer mounted at {at}: {why}", FAULT)
    said = terminal.expect("\n")
    assert "it is locked" in said and "20 s" not in said, said
    eventually(lambda: "parser" not in mine.state.mounts, FAULT)
    terminal.close()
    for untrue in ("another program", "could not be reached", "did not answer"):
        assert untrue not in terminal.seen
    eventually(lambda: not mine.processes(), FAULT)


def test_when_the_connection_is_killed_it_is_said_that_the_gateway_locks_by_itself(mine: Laptop) -> None:
    terminal = mine.terminal()
    mine.mount_in(terminal, "parser")
    kill(mine.state.connection.master if mine.state.connection else None)
    terminal.expect("the connection to the gateway has closed; ", FAULT)
    terminal.close()


@pytest.mark.parametrize(("end", "why"), REASONS[:4])
def test_a_login_without_a_mount_is_told_the_reason_too(
    mine: Laptop, end: Callable[[Laptop], object], why: str
) -> None:
    terminal = mine.terminal()
    terminal.send("enc login\n")
    terminal.expect("logged in to gateway")
    terminal.expect(PROMPT)
    end(mine)
    terminal.expect(f"logged out: {why}", FAULT)
    terminal.close()


FULL_SCREEN = "import sys, termios, tty\ntty.setraw(0)\nprint('drawn', end='', flush=True)\nsys.stdin.read(1)\n"


def impatient(make_gateway: Callable[..., Gateway], **more: str) -> Gateway:
    return make_gateway(**{"idle.view": "9", "idle.session": "60", "idle.warning": "5", **more})


def in_an_editor(mine: Laptop, **more: str) -> Terminal:
    """A terminal with a mount in which a full-screen program runs."""
    (mine.root / "editor.py").write_text(FULL_SCREEN)
    terminal = mine.terminal(**more)
    mine.mount_in(terminal, "parser")
    terminal.send(f"python3 {mine.root}/editor.py; stty sane\n")
    terminal.expect("drawn")
    return terminal


def rest(terminal: Terminal, seconds: float) -> str:
    """What the terminal shows within so many seconds."""
    before = len(terminal.seen)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            terminal.expect("\0never", 0.3)
        except AssertionError:
            continue
    return terminal.seen[before:]


def test_a_warning_does_not_write_into_a_full_screen_program_and_follows_when_that_ends(
    make_gateway: Callable[..., Gateway],
) -> None:
    who = impatient(make_gateway).person("dev1", "dev1")
    who.new("parser")
    with laptop(who) as mine:
        terminal = in_an_editor(mine, TERM="xterm-256color")
        terminal.expect("\x1b[22;0t\x1b]0;enc: parser will be locked in ", 15)
        title = terminal.expect("\a\a")
        assert "\n" not in title
        terminal.expect("\x1b]0;enc: parser is no longer mounted at", 15)
        terminal.expect("\a\a")
        terminal.send("q")
        said = terminal.expect(": it was idle for ", 10)
        said += terminal.expect("\n")
        assert "Text in an editor is not lost: `enc mount parser`, then save" in said
        assert "will be locked" not in rest(terminal, 5), "what has happened is not warned of"
        terminal.close()
        eventually(lambda: not mine.processes(), FAULT)


def test_where_the_terminal_has_no_title_there_is_a_bell_alone(make_gateway: Callable[..., Gateway]) -> None:
    who = impatient(make_gateway).person("dev1", "dev1")
    who.new("parser")
    with laptop(who) as mine:
        terminal = in_an_editor(mine, TERM="dumb")
        terminal.expect("\a", 15)
        assert "will be locked" not in terminal.seen
        terminal.close()


def test_at_a_shell_the_warning_says_what_to_type_and_that_text_is_not_lost(
    make_gateway: Callable[..., Gateway],
) -> None:
    who = impatient(make_gateway).person("dev1", "dev1")
    who.new("parser")
    with laptop(who) as mine:
        terminal = mine.terminal()
        mine.mount_in(terminal, "parser")
        terminal.expect("parser will be locked in ", 15)
        said = terminal.expect("\n")
        assert "`enc touch parser`" in said and "Text in an editor is not lost" in said, said
        terminal.send("enc touch parser\n")
        terminal.expect("parser counts as used")
        stays(lambda: mine.views() == ["parser"], 6)
        terminal.close()


def test_who_chose_so_keeps_a_project_by_typing_and_not_by_leaving(make_gateway: Callable[..., Gateway]) -> None:
    who = impatient(make_gateway, **{"idle.view": "14", "idle.warning": "8"}).person("dev1", "dev1")
    who.new("parser")
    with laptop(who) as mine:
        config = mine.home / "config.toml"
        config.write_text('default = "gw"\n[gateways.gw]\nhost = "gateway"\ntyping_counts = true\n')
        terminal = in_an_editor(mine, ENC_HOST="gw", ENC_CONFIG=str(config))
        began = time.monotonic()
        eventually(lambda: mine.gateway.events("request", verb="touch"), 20)
        assert "will be locked" not in terminal.seen, "nobody is warned who is there"
        stays(lambda: mine.views() == ["parser"], max(1.0, 18 - (time.monotonic() - began)))
        os.utime(os.readlink(f"/proc/{terminal.pid}/fd/0"), (time.time() - 300, time.time()))  # typed long ago
        terminal.expect("\a", 40)
        eventually(lambda: mine.views() == [], 40)
        terminal.close()
