"""Start other programs. No other module does.

A program gets an argv list, an absolute path, a fixed environment, and only the descriptors that are named: all others
are close-on-exec (PEP 446). A secret is passed through a descriptor, never in the argv or the environment.

`fork` is for our own code that may never return, because it asks a file system that may not answer. The caller waits
for it as long as it likes, and goes on without it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal

from gateway.base.clock import boottime
from gateway.errors import Internal, Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

_MOST_DESCRIPTORS = 1 << 20

_DEFAULT_SIGNALS = (
    *(signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def require(program: str, package: str) -> None:
    """Raise Misconfigured unless `program` is executable. `package` is the Debian package that has it."""
    if not os.access(program, os.X_OK):
        raise Misconfigured(f"{program} is missing on the gateway", f"a sysadmin can: apt install {package}")


def spawn(
    argv: list[str],
    stdio: Mapping[int, int],
    pass_fds: Iterable[int] = (),
    own_group: bool = False,
    default_signals: bool = True,
) -> int:
    """Start `argv` and return its pid, which the caller must wait for. Raises Internal if the host cannot start it.

    `stdio` maps 0, 1 and 2 to open descriptors; those left out are /dev/null. `pass_fds` keep their numbers. With
    `own_group` it gets a process group of its own, so it does not receive the signals of our terminal. Without
    `default_signals` it ignores the signals that we ignore.
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
            argv[0],
            argv,
            ENVIRONMENT,
            file_actions=actions,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS if default_signals else (),
            **group,
        )
    except OSError as error:  # no process, memory or descriptor left: refuse this request, do not end the session
        raise Internal(f"{os.path.basename(argv[0])} could not be started", error.strerror) from error


def fork(work: Callable[[Callable[[bytes], object]], object], keep: Iterable[int] = ()) -> tuple[int, int]:
    """Run `work(tell)` in a child of its own process group. Returns its pid, which the caller must wait for, and the
    reading end of a pipe (non-blocking) with what it tells, which the caller closes.

    The child has `keep` open, and nothing else of ours: it may outlive us while the kernel waits for a disk. It ends
    with 0, or with 1 if `work` raises. Raises Misconfigured if the host has no process or descriptor left.
    """
    try:
        reader, writer = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured("the gateway's host has no descriptor left", error.strerror) from error
    try:
        pid = os.fork()
        if pid == 0:
            _in_child(work, writer, {0, 1, 2, writer, *keep})
    except OSError as error:
        os.close(reader)
        raise Misconfigured("the gateway's host has no process left", error.strerror) from error
    finally:
        os.close(writer)
    os.set_blocking(reader, False)
    return pid, reader


def _in_child(work: Callable[[Callable[[bytes], object]], object], writer: int, keep: set[int]) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # it is our parent's as well, which would take our signals for its own
        os.setpgid(0, 0)
        kept = sorted(keep)
        for before, after in zip(kept, [*kept[1:], _MOST_DESCRIPTORS], strict=True):
            os.closerange(before + 1, after)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        work(lambda said: os.write(writer, said))
        status = 0
    finally:
        os._exit(status)


def ask(work: Callable[[], bytes], seconds: float) -> bytes | None:
    """What `work` returns, or None when it raises, or has not returned within `seconds`: a file system may not answer.
    Raises Misconfigured as `fork` does.
    """
    told, has_ended = told_within(lambda tell: tell(work()), seconds)
    return told if has_ended else None


def told_within(work: Callable[[Callable[[bytes], object]], object], seconds: float) -> tuple[bytes, bool]:
    """What `work(tell)` tells in `seconds`, and whether it ended well in that time. Raises as `ask` does."""
    told = os.memfd_create("told")
    try:
        pid, reader = fork(lambda _: work(lambda said: os.write(told, said)), [told])
        os.close(reader)
        status = wait(pid, seconds)
        if status is None:
            os.kill(pid, signal.SIGKILL)  # a child that is not waited for keeps its pid
        return os.pread(told, os.fstat(told).st_size, 0), status == 0
    finally:
        os.close(told)


def become(argv: list[str], stdio: Mapping[int, int], pass_fds: Iterable[int]) -> NoReturn:
    """Replace this process, a child of `fork`, by `argv`, as `spawn` would start it. Raises OSError."""
    for number in _DEFAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for target in (0, 1, 2):
        os.dup2(stdio.get(target, null), target)
    for fd in pass_fds:
        os.set_inheritable(fd, True)
    os.execve(argv[0], argv, ENVIRONMENT)  # noqa: S606 - no shell is the point


def memory_file(content: bytes) -> int:
    """A memory file (memfd_create(2)) with `content`, positioned at its start, for a program that we start to read.

    The caller closes it.
    """
    fd = os.memfd_create("enc")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_memory(content: bytes) -> int:
    """The same, which nobody can change. The caller closes it."""
    fd = os.memfd_create("enc", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def sealed_size(fd: int) -> int:
    """The size of what `sealed_memory` made. Raises OSError for anything else."""
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) != _SEALS:
        raise OSError(errno.EINVAL, "not sealed")
    return os.fstat(fd).st_size


def run(
    argv: list[str], pass_fds: Iterable[int] = (), seconds: float = 60, stdin: int | None = None
) -> tuple[int, str]:
    """Run `argv` and wait: its exit status, and its output (stdout and stderr, the first 64 KiB). `stdin` is a
    descriptor (None: /dev/null).

    Raises Internal if it takes longer than `seconds`; it is killed then.
    """
    output = os.memfd_create("output")
    try:
        given = {} if stdin is None else {0: stdin}
        pid = spawn(argv, {**given, 1: output, 2: output}, pass_fds)
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
