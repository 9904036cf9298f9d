"""Running a gateway command: on our own standard descriptors, or for what it complains of."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from typing import IO

from client.connection import request, ssh
from client.errors import Busy, Elsewhere, EncError
from client.state import hosts
from client.state import store as stores
from client.state.config import Profile
from client.state.store import Store
from client.system import children, standard_input

_REFUSED_SECONDS = 10.0
"""A command that took longer was not refused at its beginning, for the project to be on another host."""


def run(profile: Profile, words: list[str], tty: bool = False, project: str = "") -> int:
    """Over the existing connection, else over a new one. Returns the command's exit status. Raises when ssh itself
    fails.

    `tty`: the command asks questions, so it gets a terminal if we have one. `project`: the words are about what is
    unlocked, so that this raises Elsewhere when another host of a cluster has it. The gateway is asked where it is
    before the command begins if the gateway is known to be a cluster, else when the command was refused.
    """
    somewhere = bool(project) and not _is_mounted(profile, project)
    if somewhere and not profile.address and hosts.others(profile):
        _find(profile, project)
    if not somewhere:
        return _run(profile, words, tty)
    given, began = standard_input.look(), time.monotonic()
    with tempfile.TemporaryFile() as kept:
        status = _run(profile, words, tty, kept if "--json" in _own(words) else None)
        if status == Busy.code and time.monotonic() - began < _REFUSED_SECONDS:
            _find_refused(profile, project, given)
        kept.seek(0)
        shutil.copyfileobj(kept, sys.stdout.buffer)
    return status


def _own(words: list[str]) -> list[str]:
    """Without those of a program, whose output comes as it is written, and is kept nowhere."""
    return words[: words.index("--")] if "--" in words else words


def _find_refused(profile: Profile, project: str, given: int | None) -> None:
    """As `_find`, of a command that may have read our standard input from `given` on."""
    try:
        _find(profile, project)
    except Elsewhere as error:
        if not standard_input.again(given):
            stores.of(hosts.leading_to(profile, error.host, error.address))  # so that it is known next time
            raise Busy(f"{error}, and what came on standard input is lost", "say it again") from error
        raise


def _is_mounted(profile: Profile, project: str) -> bool:
    try:
        return project in stores.of(profile).read().mounts
    except EncError:
        return False


def _find(profile: Profile, project: str) -> None:
    """Raises Elsewhere if another host has the project. What else is wrong, the command itself says."""
    try:
        request.ask(profile, "challenge", project)
    except Elsewhere:
        raise
    except EncError:
        return


def _run(profile: Profile, words: list[str], tty: bool, stdout: IO[bytes] | None = None) -> int:
    flag = "-t" if tty and sys.stdin.isatty() and sys.stdout.isatty() else "-T"
    store = stores.connected(profile)
    outer = [*ssh.shared(store), flag, "--", "enc"] if store else [*ssh.direct(profile), flag, "--", profile.host]
    return ssh.run_attached([*outer, *ssh.command_line(words)], profile.called, stdout)


def run_silently(store: Store, words: list[str]) -> tuple[int, str]:
    """The exit status of the command over the existing connection, and what it and ssh complain of."""
    argv = [*ssh.shared(store), "-T", "--", "enc", *ssh.command_line(words)]
    return children.complaints(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
