"""Start other programs. No other module does.

A program gets an argv list, an absolute path, a fixed environment, and only the descriptors that are named: all others
are close-on-exec (PEP 446). A secret is passed through a descriptor, never in the argv or the environment.
"""

from __future__ import annotations

import os
import select
import signal

from gateway.base.clock import boottime
from gateway.errors import Internal, Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

_DEFAULT_SIGNALS = (
    *(signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def require(program: str, package: str) -> None:
    """Raise Misconfigured unless `program` is executable. `package` is the Debian package that has it."""
    if not os.access(program, os.X_OK):
        raise Misconfigured(f"{program} is missing on the gateway", f"a sysadmin can: apt install {package}")


def spawn(argv: list[str], stdio: Mapping[int, int], pass_fds: Iterable[int] = (), own_group: bool = False) -> int:
    """Start `argv` and return its pid, which the caller must wait for. Raises Internal if the host cannot start it.

    `stdio` maps 0, 1 and 2 to open descriptors; those left out are /dev/null. `pass_fds` keep their numbers. With
    `own_group` it gets a process group of its own, so it does not receive the signals of our terminal.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    for target in (0, 1, 2):
        if target in stdio:
            actions.append((os.POSIX_SPAWN_DUP2, stdio[target], target))
        else:
            actions.append((os.POSIX_SPAWN_OPEN, target, "/dev/null", os.O_RDWR, 0))
    actions += [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in pass_fds]  # onto itself: clears close-on-exec
    group: dict[str, Any] = {"setpgroup": 0} if own_group else {}
    try:
        return os.posix_spawn(
            argv[0], argv, ENVIRONMENT, file_actions=actions, setsigmask=(), setsigdef=_DEFAULT_SIGNALS, **group
        )
    except OSError as error:  # no process, memory or descriptor left: refuse this request, do not end the session
        raise Internal(f"{os.path.basename(argv[0])} could not be started", error.strerror) from error


def memory_file(content: bytes) -> int:
    """A memory file (memfd_create(2)) with `content`, positioned at its start, for a program that we start to read.

    The caller closes it.
    """
    fd = os.memfd_create("enc")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run(argv: list[str], pass_fds: Iterable[int] = (), seconds: float = 60) -> tuple[int, str]:
    """Run `argv` and wait: its exit status, and its output (stdout and stderr, the first 64 KiB).

    Raises Internal if it takes longer than `seconds`; it is killed then.
    """
    output = os.memfd_create("output")
    try:
        pid = spawn(argv, {1: output, 2: output}, pass_fds)
        status = None
        try:
            status = wait(pid, seconds)
        finally:
            if status is None:  # too slow, or we were interrupted
                _kill(pid)
        if status is None:
            raise Internal(f"{os.path.basename(argv[0])} did not end within {seconds:.0f} s")
        return status, os.pread(output, 64 * 1024, 0).decode(errors="replace")
    finally:
        os.close(output)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):  # it has already ended
        return


def wait(pid: int, seconds: float) -> int | None:
    """Wait for our child `pid`: its exit status (128 + n for signal n), or None if it still runs after `seconds`."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:  # it was reaped elsewhere, which is a bug of ours
        raise Internal(f"process {pid} is not our child") from None
    try:
        ready = select.poll()
        ready.register(pidfd, select.POLLIN)
        deadline = boottime() + seconds
        while not ready.poll(max(0, (deadline - boottime()) * 1000)):
            if boottime() >= deadline:
                return None
        return exit_status(os.waitpid(pid, 0)[1])
    finally:
        os.close(pidfd)


def wait_readable(fd: int, seconds: float) -> bool:
    """Whether `fd` has data, or is at its end, within `seconds`."""
    ready = select.poll()
    ready.register(fd, select.POLLIN)
    return bool(ready.poll(seconds * 1000))


def exit_status(status: int) -> int:
    """A wait(2) status as a shell reports it: the exit code, or 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
