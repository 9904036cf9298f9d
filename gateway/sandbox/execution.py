"""The command line of an execution's sandbox: what `run`, `shell` and git start, inside a session.

As a transfer's, with what programs need: a /proc, a /dev with terminals and tmpfs to write to, all of them its own; a
system call filter; limits. Of /proc it has neither the memory of bubblewrap's process in there, which has no limit of
its own on processes, nor the host's list of locks.
"""

from __future__ import annotations

import resource

from gateway.base.records import Record
from gateway.sandbox import bubblewrap, host_files, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MASKED = ("/proc/1/mem", "/proc/1/task/1/mem", "/proc/locks")
"""Of an execution's /proc. The first two would let it write code of its own into bubblewrap, which is under no limit on
processes; the last one shows the locks of the whole host, and so how much of the gateway others have in use.
"""


_FILES = 1024
"""Descriptors that a process of an execution has, unless it asks for more."""


class Limits(Record):
    """Of an execution; 0 for none. `processes` counts all of it, `memory` (MiB of private data), `cpu` (seconds) and
    `file_size` (MiB) are for each process; `tmpfs` (MiB) for each of PRIVATE. Root's own accounting sees the rest.
    """

    processes: int
    memory: int
    cpu: int
    file_size: int
    tmpfs: int


def execution_argv(
    arguments: Sequence[str],
    directory: str,
    terminals: str,
    extra: Sequence[str],
    limits: Limits,
    filter_fd: int,
    files: Mapping[str, int],
    network: bool = False,
) -> list[str]:
    """bwrap, inside a session, for `arguments` in `directory`, with the paths `extra` readable beside /usr, and the
    devpts at `terminals`.

    `filter_fd` has the system call filter; of `files` (path to descriptor) it gets copies. With `network` it has the
    network namespace of whoever starts it, and not an empty one. Whoever calls this makes standard input the terminal,
    if there is to be one, and uses `on_terminal`.
    """
    words = [
        *_confined(limits),
        bubblewrap.BWRAP,
        *bubblewrap.system_argv(),
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
    ]
    words += ["--seccomp", str(filter_fd)]
    if network:
        words += ["--share-net"]
    words += ["--proc", "/proc", "--dev", "/dev", *host_files.copies(files)]
    words += ["--dev-bind", terminals, paths.TERMINALS]
    for path in _MASKED:
        words += ["--ro-bind", "/dev/null", path]
    for path in paths.PRIVATE:
        words += ["--size", str(limits.tmpfs << 20), "--tmpfs", path]
    for path in (*host_files.SHARED_DIRECTORIES, *host_files.linked(extra)):
        words += ["--ro-bind-try", path, path]
    words += ["--bind", paths.PROJECTS, paths.PROJECTS, "--remount-ro", "/dev", "--remount-ro", "/"]
    for key, value in {
        "HOME": paths.HOME,
        "TMPDIR": paths.PRIVATE[0],
        "USER": "enc",
        "LOGNAME": "enc",
        "SHELL": paths.SHELL,
    }.items():
        words += ["--setenv", key, value]
    return [*words, "--chdir", directory, "--", *_limited(limits), *arguments]


def _confined(limits: Limits) -> list[str]:
    """Words before bubblewrap's own: rlimits that nothing in there can raise again.

    Of descriptors half of what we and the fronts may have. Those in flight in sockets are counted for all processes of
    the account, whichever namespaces they are in, and who finds more of them than it may have open itself is refused
    (unix(7), ETOOMANYREFS): a program could keep every front from passing its own to a session.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2
    given = {"data": limits.memory << 20, "cpu": limits.cpu, "fsize": limits.file_size << 20}
    rlimits = [f"--{name}={value}:{value}" for name, value in given.items() if value]
    return ["/usr/bin/prlimit", "--core=0:0", f"--nofile={min(files, _FILES)}:{files}", *rlimits]


def on_terminal(argv: list[str], kind: str) -> list[str]:
    """`argv` of an execution whose standard input is to be its controlling terminal, of the type `kind` (TERM)."""
    at = argv.index("--")  # bubblewrap's
    return [*argv[:at], "--setenv", "TERM", kind, "--", "/usr/bin/setsid", "--ctty", *argv[at + 1 :]]


def _limited(limits: Limits) -> list[str]:
    """Words before a command line: the first to go when memory runs out, and a number of processes that it cannot
    raise; the kernel counts those by user namespace.
    """
    words = ["/usr/bin/choom", "-n", "500", "--"]
    if limits.processes:
        words += ["/usr/bin/prlimit", f"--nproc={limits.processes}:{limits.processes}", "--"]
    return words
