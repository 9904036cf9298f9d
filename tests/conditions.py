"""Wait for a condition, skip a test whose conditions this machine does not meet, and look at processes."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that any step may take on a slow machine."""


def bindir() -> Path:
    """The directory with `enc-gateway` and `enc`; script/test sets it."""
    return Path(os.environ["ENC_BINDIR"])


def eventually(what: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true value of `what()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def stays(what: Callable[[], object], seconds: float) -> None:
    """Fails unless `what()` is true all the time for `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert what(), f"not true any more: {what}"
        time.sleep(0.1)


def need(met: bool, reason: str, but_not_on: str = "") -> None:
    """Unless the condition is `met`, skip the test with `reason`; in CI, fail it.

    `but_not_on`: a distribution (ID in os-release(5)) that does not have what is needed; CI skips the test there, too.
    """
    if met:
        return
    if os.environ.get("CI") and (not but_not_on or platform.freedesktop_os_release().get("ID") != but_not_on):
        pytest.fail(f"CI must have this: {reason}")
    pytest.skip(reason)


def need_root() -> None:
    """For tests that look into processes of others, or create accounts."""
    need(os.geteuid() == 0, "not root")


def changed_host(script: str) -> list[str]:
    """The words to put before a command, so that `script` (sh) changes the host for that command alone.

    Both run as an ordinary user, in new mount and user namespaces. The script may bind-mount over files there and set
    sysctls; the command has no capability.
    """
    enc = [row for row in pwd.getpwall() if row.pw_name == "enc"]
    account = enc[0] if os.geteuid() == 0 and enc else pwd.getpwuid(os.geteuid())
    namespaces = ["unshare", "--mount", "--user", f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}"]
    drop = 'exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
    return [*namespaces, "--keep-caps", "sh", "-euc", f"{script}\n{drop}", "sh"]


def alive(pid: int) -> bool:
    """Whether process `pid` runs. A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_files(pid: int) -> set[str]:
    """What the descriptors of process `pid` refer to. It may open and close some of them meanwhile."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(fd))
    return found


def parent(pid: int) -> int:
    """The pid of the parent of `pid`."""
    return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
