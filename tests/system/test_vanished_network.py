"""A network that silently vanishes: nothing says goodbye, and the view is gone all the same."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import Gateway, Person, eventually

_CLONE_NEWNET = 0x40000000
PROMISED = 25.0
"""Seconds; 20 are promised."""
WINDOW = 8.0
"""ClientAliveInterval times ClientAliveCountMax."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own")


@contextlib.contextmanager
def private_network() -> Iterator[None]:
    """What is started in the block has a loopback of its own (unshare(2) is for this thread and its children)."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        assert libc.setns(home, _CLONE_NEWNET) == 0
        os.close(home)


def gocryptfs(gateway: Gateway) -> list[int]:
    return [pid for pid, args in gateway.session_processes().items() if "gocryptfs" in args.split()[0]]


def test_a_view_is_gone_when_the_network_silently_vanishes(make_gateway: Callable[..., Gateway]) -> None:
    with private_network():
        gateway = make_gateway()
        who = gateway.person("someone")
        who.new("work")
        with who.mounted("work") as held:
            assert gocryptfs(gateway)
            subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
            began = time.monotonic()
            eventually(lambda: not gocryptfs(gateway), PROMISED)
            assert time.monotonic() - began > 5, "it was not silence that ended it"
            assert held.process.poll() is None, "the client cannot know"
            eventually(lambda: gateway.events("locked", project="work", reason="hangup"))
            eventually(lambda: not gateway.leftovers())


def test_a_client_that_is_suspended_for_less_than_the_window_is_not_dropped(person: Person, project: str) -> None:
    with person.mounted(project) as held:
        held.kill(signal.SIGSTOP)
        time.sleep(WINDOW - 1)
        held.kill(signal.SIGCONT)
        time.sleep(1)
        assert held.process.poll() is None
        assert person.sftp(f"ls {project}").status == 0
