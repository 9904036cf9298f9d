"""The command line of an execution's sandbox: for a program that `run`, `shell` or git starts inside a session.

It is like a transfer's (`transfer`), with what programs need: their own /proc, a /dev with terminals, and tmpfs to
write to; and with a system call filter and limits. Some files of /proc are masked, see `_MASKED`.
"""

from __future__ import annotations

import resource

from gateway.sandbox import bubblewrap, etc, host_files, paths
from gateway.sandbox.inside import own_programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.sandbox.limits import Limits
    from gateway.sandbox.paths import Shown

_MASKED = ("/proc/1/mem", "/proc/1/task/1/mem", "/proc/locks")
"""Files of /proc that an execution does not see. Through the first two it could write its own code into bubblewrap,
which has no limit on processes. The last shows the locks of the whole host, and so what others do on the gateway.
"""

_OPEN_FILES = 1024
"""The soft limit on descriptors of a process of an execution."""


def execution_argv(
    arguments: Sequence[str],
    directory: str,
    terminals: str,
    extra: Sequence[str],
    limits: Limits,
    filter_fd: int,
    files: Mapping[str, int],
    network: bool = False,
    shown: Shown = paths.ALL,
) -> list[str]:
    """bwrap, inside a session, for `arguments` in `directory`.

    The program can read the paths `extra` in addition to /usr; `terminals` is a devpts mount. `filter_fd` has the
    system call filter. It gets copies of `files` (path to descriptor). With `network`, the program keeps the network
    namespace of its parent; without, it gets an empty one. For a terminal, use `with_terminal`.
    """
    words = [
        *_rlimit_argv(limits),
        bubblewrap.BWRAP,
        *bubblewrap.base_argv(),
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
    ]
    words += ["--seccomp", str(filter_fd)]
    if network:
        words += ["--share-net"]
    words += ["--proc", "/proc", "--dev", "/dev", *host_files.copies_argv(files)]
    words += ["--dev-bind", terminals, paths.TERMINALS]
    for path in _MASKED:
        words += ["--ro-bind", "/dev/null", path]
    for path in paths.TMPFS_PATHS:
        words += ["--size", str(limits.tmpfs << 20), "--tmpfs", path]
    for path in (*etc.directories(), *host_files.without_removed(extra)):
        words += ["--ro-bind-try", path, path]
    words += [*shown.argv(), "--remount-ro", "/dev", "--remount-ro", "/"]
    for key, value in {
        "HOME": paths.HOME,
        "TMPDIR": paths.TMPFS_PATHS[0],
        "USER": "enc",
        "LOGNAME": "enc",
        "SHELL": paths.SHELL,
    }.items():
        words += ["--setenv", key, value]
    return [*words, "--chdir", directory, "--", *_process_limit_argv(limits), *arguments]


def _rlimit_argv(limits: Limits) -> list[str]:
    """prlimit(1) before bwrap: hard limits that nothing inside can raise again.

    The limit on descriptors is half of ours. The kernel counts descriptors in flight in sockets for all processes of
    the account, whatever their namespaces, and refuses a sendmsg(2) once there are more than the sender may have open
    (unix(7), ETOOMANYREFS). With our limit, a program could keep every front from passing descriptors to a session.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2
    values = {"data": limits.memory << 20, "cpu": limits.cpu, "fsize": limits.file_size << 20}
    rlimits = [f"--{name}={value}:{value}" for name, value in values.items() if value]
    return ["/usr/bin/prlimit", "--core=0:0", f"--nofile={min(files, _OPEN_FILES)}:{files}", *rlimits]


def with_terminal(argv: list[str], terminal: str, has_jobs: bool) -> list[str]:
    """`argv` of an execution, with its standard input as the controlling terminal; `terminal` is the value of TERM.

    The caller passes the terminal as standard input. Without `has_jobs`, the program is no shell that controls jobs
    itself: what stops is continued, and the files of `execution_argv` have own_programs.FOREGROUND.
    """
    at = argv.index("--")  # the end of bubblewrap's options
    options = [*argv[:at], *([] if has_jobs else own_programs.interpreter_argv()), "--setenv", "TERM", terminal]
    foreground = [] if has_jobs else own_programs.argv(own_programs.FOREGROUND)
    return [*options, "--", "/usr/bin/setsid", "--ctty", *foreground, *argv[at + 1 :]]


def _process_limit_argv(limits: Limits) -> list[str]:
    """choom(1) and prlimit(1) before the program: the OOM killer ends it first, and its number of processes is limited.

    This runs inside bwrap, because the kernel counts processes per user namespace.
    """
    words = ["/usr/bin/choom", "-n", "500", "--"]
    if limits.processes:
        words += ["/usr/bin/prlimit", f"--nproc={limits.processes}:{limits.processes}", "--"]
    return words
