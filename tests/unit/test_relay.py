"""A terminal that hangs up during a run is a dropped connection, whichever call notices it."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Callable

import pytest

from gateway.errors import Dropped
from rshell.session import execution
from rshell.terminal.relay import Relay


def _attach() -> None:
    with Relay(0) as relay:
        relay.attach(os.open("/dev/null", os.O_RDWR))


def _resize() -> None:
    with Relay(0) as relay:
        relay._controller = os.open("/dev/null", os.O_RDWR)
        relay._resize()
        _carry()


def _carry() -> None:
    ready, _ = os.pipe()
    os.dup2(os.pipe()[1], 1)  # only the terminal hangs up, not standard output
    with Relay(0) as relay:
        relay._controller = os.open("/dev/null", os.O_RDWR)
        relay.copy_until(ready)


def _terminal() -> None:
    execution._terminal("xterm")


@pytest.mark.parametrize("act", [_attach, _resize, _carry, _terminal])
def test_a_terminal_that_has_hung_up_is_a_dropped_connection(act: Callable[[], None]) -> None:
    pid = os.fork()
    if pid == 0:
        _in_a_child(act)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == Dropped.code


def _in_a_child(act: Callable[[], None]) -> None:
    """Run `act` with a terminal that has hung up as standard input and output."""
    status = 1
    try:
        signal.alarm(20)
        ours, terminal = pty.openpty()
        os.dup2(terminal, 0)
        os.dup2(terminal, 1)
        os.close(ours)
        act()
    except Dropped as error:
        status = error.code
    finally:
        os._exit(status)
