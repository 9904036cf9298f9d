"""The one door through which other programs are started.

An argv list, an absolute program, an environment built from nothing, and exactly the descriptors that are named:
every other one is close-on-exec (PEP 446). A secret travels in a descriptor, never in the argv or environment.
"""

from __future__ import annotations

import os
import select
import signal
import time

from gateway.errors import Internal, Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

_RESET = (
    *(signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def require(program: str, package: str) -> None:
    """Raise Misconfigured unless `program` can be run."""
    if not os.access(program, os.X_OK):
        raise Misconfigured(f"{program} is missing on the gateway", f"a sysadmin can: apt install {package}")


def spawn(argv: list[str], stdio: Mapping[int, int], passed: Iterable[int] = (), apart: bool = False) -> int:
    """Start `argv` and return its pid, which the caller must wait for. Raises Internal when the host cannot.

    `stdio` maps 0, 1, 2 to open descriptors (those left out are /dev/null); `passed` keep their numbers. What is
    `apart` is in a process group of its own: the signals of our terminal are not for it.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    for target in (0, 1, 2):
        if target in stdio:
            actions.append((os.POSIX_SPAWN_DUP2, stdio[target], target))
        else:
            actions.append((os.POSIX_SPAWN_OPEN, target, "/dev/null", os.O_RDWR, 0))
    actions += [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in passed]  # to itself: clears close-on-exec
    group: dict[str, Any] = {"setpgroup": 0} if apart else {}
    try:
        return os.posix_spawn(
            argv[0], argv, ENVIRONMENT, file_actions=actions, setsigmask=(), setsigdef=_RESET, **group
        )
    except OSError as error:  # no process, memory or descriptor left: a reason to refuse, not to end a session
        raise Internal(f"{os.path.basename(argv[0])} could not be started", error.strerror) from error


def memory_file(content: bytes) -> int:
    """A file in memory that has `content`, at its beginning: for what a program that we start is to read, and nobody
    else. The caller closes it.
    """
    fd = os.memfd_create("enc")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run(argv: list[str], passed: Iterable[int] = (), seconds: float = 60) -> tuple[int, str]:
    """Run `argv` to its end: its exit status, and what it said. Raises Internal when it takes longer than `seconds`."""
    said = os.memfd_create("output")
    try:
        pid = spawn(argv, {1: said, 2: said}, passed)
        status = None
        try:
            status = wait(pid, seconds)
        finally:
            if status is None:  # too slow, or we were interrupted
                _put_down(pid)
        if status is None:
            raise Internal(f"{os.path.basename(argv[0])} did not end within {seconds:.0f} s")
        return status, os.pread(said, 64 * 1024, 0).decode(errors="replace")
    finally:
        os.close(said)


def _put_down(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):  # it had just ended
        return


def wait(pid: int, seconds: float) -> int | None:
    """The exit status of our child `pid` (128 + n for signal n), or None when it still runs after `seconds`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:  # it ended and was reaped as nobody's: an empty handle would be a bug of ours
        raise Internal(f"process {pid} is not our child") from None
    try:
        ready = select.poll()
        ready.register(handle, select.POLLIN)
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        while not ready.poll(max(0, (deadline - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000)):
            if time.clock_gettime(time.CLOCK_BOOTTIME) >= deadline:
                return None
        return exit_status(os.waitpid(pid, 0)[1])
    finally:
        os.close(handle)


def readable(fd: int, seconds: float) -> bool:
    """Whether there is something to read from `fd`, or its end, within `seconds`."""
    ready = select.poll()
    ready.register(fd, select.POLLIN)
    return bool(ready.poll(seconds * 1000))


def exit_status(status: int) -> int:
    """A wait(2) status as a shell reports it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
