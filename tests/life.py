"""For tests of how sessions live and end: connections, sessions, sshfs, printed events, and waiting for a lock."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.harness import PASSPHRASE, Gateway, Held, Person, Result, eventually, run

SLACK = 4.0
"""Seconds that a busy machine may take for something immediate."""


@contextlib.contextmanager
def connection(who: Person, *options: str) -> Iterator[tuple[str, ...]]:
    """A connection for many channels (ControlMaster), made with `options`. Yields the options for `ssh` to use it."""
    with tempfile.TemporaryDirectory(prefix="enc-cm-") as name:
        shared = (*options, "-o", f"ControlPath={name}/c")
        master = subprocess.Popen(who.argv("-N", extra=("-o", "ControlMaster=yes", *shared)), stderr=subprocess.PIPE)
        try:
            eventually(lambda: os.path.exists(f"{name}/c"))
            yield shared
        finally:
            master.terminate()
            master.wait()
            assert master.stderr
            master.stderr.close()


@contextlib.contextmanager
def session(who: Person, *flags: str) -> Iterator[tuple[Held, tuple[str, ...]]]:
    """`ssh gateway session`, open. Yields it and the options for more channels on its connection."""
    with connection(who) as shared:
        held = who.hold("session", *flags, extra=shared)
        try:
            held.read_until("session")
            yield held, shared
        finally:
            held.end()


def unlock(who: Person, project: str, shared: tuple[str, ...]) -> None:
    """Unlock `project` on a connection that has a session."""
    result = who.ssh("mount", project, stdin=PASSPHRASE + "\n", extra=shared)
    assert result.status == 0, result


@contextlib.contextmanager
def sshfs(who: Person, project: str, at: Path, *options: str) -> Iterator[Path]:
    """Mount the project at `at` by sshfs without caches, so that every access reaches the gateway."""
    at.mkdir(exist_ok=True)
    words = ["sshfs", "-F", str(who.gateway.ssh_config), "-o", f"IdentityFile={who.key}", "-o", "dir_cache=no"]
    words += ["-o", "attr_timeout=0,entry_timeout=0,direct_io", *options, f"gateway:{project}", str(at)]
    mounted = run(words)
    assert mounted.status == 0, mounted
    try:
        yield at
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(at)], check=False, capture_output=True)


def keep_doing(act: Callable[[], object], every: float, seconds: float) -> None:
    """Call `act` every `every` seconds, or as often as possible, for `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        act()
        time.sleep(max(0.0, every - (time.monotonic() - began)))


def lock_reasons(gateway: Gateway, project: str) -> list[str]:
    """The reasons of all locks of `project` so far."""
    return [str(record["reason"]) for record in gateway.events("locked", project=project)]


def locked_after(gateway: Gateway, project: str, began: float, at_least: float, at_most: float) -> str:
    """Wait for the lock, return its reason. It must be `at_least` to `at_most` seconds after `began` (monotonic)."""
    eventually(lambda: lock_reasons(gateway, project), at_most + SLACK - (time.monotonic() - began))
    took = time.monotonic() - began
    assert at_least <= took <= at_most + SLACK, f"locked after {took:.2f} s"
    return lock_reasons(gateway, project)[-1]


def sessions_in_status(who: Person, extra: tuple[str, ...] = ()) -> list[dict[str, object]]:
    """The sessions that `status --json` lists."""
    result = who.ssh("status", "--json", extra=extra)
    assert result.status == 0, result
    sessions = result.json["sessions"]
    assert isinstance(sessions, list)
    return sessions


def holders_in_status(who: Person) -> list[dict[str, object]]:
    """Those of the only session."""
    (one,) = sessions_in_status(who)
    found = one["holders"]
    assert isinstance(found, list)
    return found


def view(of: dict[str, object], project: str) -> dict[str, object]:
    """The view of `project` in a session of `sessions_in_status`."""
    views = of["views"]
    assert isinstance(views, list)
    return next(one for one in views if one["project"] == project)


def printed_events(held: Held | Result) -> list[dict[str, object]]:
    """The JSON events that a command of `mount` or `session` has printed."""
    text = held.said if isinstance(held, Held) else held.out
    return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
