"""The only module that builds bubblewrap command lines: the session's sandbox and, inside it, one for each program.

Session: new user, mount, pid, net, ipc, uts and cgroup namespaces. The warden is PID 1 in it and has
CAP_SYS_ADMIN there, to mount and unmount; it sees /usr, the gateway's own code, its principal's vaults (ciphertext),
its own session directory and the audit log. Views appear below /projects.

Program: again all namespaces new, no capability, no way to more namespaces; it sees /usr and /projects, and no /proc.
Mounts below /projects propagate from the session into it, so a view that is locked is gone there too, and the kernel
refuses to unmount while the program uses it.

Execution: a program that the user chose (`run`, `shell`, git with its hooks). As before, and with what a program needs:
/proc, a /dev with terminals, and tmpfs to write to, all of them its own; a system call filter; limits. Of /proc it
has neither the memory of bubblewrap's process in there, which has no limit of its own on processes, nor the host's
list of locks.
"""

from __future__ import annotations

import os
import resource
import sys

from gateway import process
from gateway.errors import Misconfigured
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BWRAP = "/usr/bin/bwrap"

PROJECTS = "/projects"
WRITABLE_PROJECTS = "/.projects"
VAULTS = "/vaults"
SESSION = "/session"
AUDIT = "/audit"
KEYS = "/keys"
FUSE = "/dev/fuse"
TERMINALS = "/dev/pts"

PROGRAMS: Mapping[str, str] = {
    "sftp-server": "/usr/lib/openssh/sftp-server",
    "scp": "/usr/bin/scp",
    "rsync": "/usr/bin/rsync",
}
"""What a front may ask a warden to run."""

PACKAGES = {"sftp-server": "openssh-sftp-server", "scp": "openssh-client", "rsync": "rsync"}


SHARED_PATHS = ("/etc/alternatives", "/etc/ssl/certs", "/etc/hosts", "/etc/protocols", "/etc/services")
"""Of the host's /etc, what is public and what programs below /usr do not work without."""

HOME = "/home/enc"
PRIVATE = ("/tmp", "/run", "/dev/shm", HOME)  # noqa: S108 - the sandbox's own
"""Where an execution can write beside the views: tmpfs, each its own, gone with it."""

SHELL = "/usr/bin/bash"

_MASKED = ("/proc/1/mem", "/proc/1/task/1/mem", "/proc/locks")
"""Of an execution's /proc. The first two would let it write code of its own into bubblewrap, which is under no limit on
processes; the last one shows the locks of the whole host, and so how much of the gateway others have in use.
"""

_FILES = 1024
"""Descriptors that a process of an execution has, unless it asks for more."""


class Ground(Record):
    """What of the host a session's sandbox is made of; all absolute paths. `extra` is what executions may read."""

    vaults: str
    session: str
    audit_directory: str
    syslog: str
    keys_directory: str
    extra: tuple[str, ...]


class Limits(Record):
    """Of an execution; 0 for none. `processes` counts all of it, `memory` (MiB of private data), `cpu` (seconds) and
    `file_size` (MiB) are for each process; `tmpfs` (MiB) for each of PRIVATE. Root's own accounting sees the rest.
    """

    processes: int
    memory: int
    cpu: int
    file_size: int
    tmpfs: int


def _system() -> list[str]:
    """/usr read-only, and the links that a merged /usr has; no capability and no environment from outside."""
    words = ["--unshare-user", "--unshare-all", "--uid", str(os.getuid()), "--gid", str(os.getgid())]
    words += ["--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for key, value in process.ENVIRONMENT.items():
        words += ["--setenv", key, value]
    return words


def session_argv(ground: Ground, passwd_fd: int, status_fd: int, command: Sequence[str]) -> list[str]:
    """bwrap for a session. It reads the sandbox's /etc/passwd from `passwd_fd`, writes the warden's pid to `status_fd`
    and keeps that open for life, so its end tells the warden that bwrap was killed.
    """
    words = [BWRAP, *_system(), "--as-pid-1", "--cap-add", "CAP_SYS_ADMIN", "--json-status-fd", str(status_fd)]
    words += ["--proc", "/proc", "--dir", "/tmp", "--dir", TERMINALS]  # noqa: S108 - the sandbox's own
    for node in ("null", "zero", "full", "random", "urandom", "tty", "fuse"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--file", str(passwd_fd), "/etc/passwd", "--symlink", "/proc/self/mounts", "/etc/mtab"]
    for path in dict.fromkeys((sys.base_prefix, code_root())):
        if not path.startswith("/usr/") and path != "/usr":
            words += ["--ro-bind", path, path]
    words += ["--ro-bind-try", "/etc/localtime", "/etc/localtime"]  # by which expiry times of keys are read
    words += ["--bind", ground.vaults, VAULTS, "--bind", ground.session, SESSION]
    words += ["--bind", ground.audit_directory, AUDIT, "--ro-bind", ground.keys_directory, KEYS]
    if ground.syslog:
        words += ["--ro-bind-try", ground.syslog, ground.syslog]
    for path in (*SHARED_PATHS, *ground.extra):
        words += ["--ro-bind-try", path, path]
    words += ["--tmpfs", WRITABLE_PROJECTS, "--dir", PROJECTS, "--chdir", "/", "--"]
    return [*words, *command]


def program_argv(program: str, arguments: Sequence[str]) -> list[str]:
    """bwrap, inside a session, for one of PROGRAMS. Only the views are writable: a file put elsewhere would be lost.

    Without /proc: through /proc/1/mem an sftp client could write code of its own into bubblewrap and have it run.
    """
    words = [BWRAP, *_system(), "--disable-userns", "--die-with-parent", "--new-session"]
    words += ["--ro-bind", "/etc/passwd", "/etc/passwd"]
    for node in ("null", "zero", "urandom"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--bind", PROJECTS, PROJECTS, "--setenv", "HOME", PROJECTS, "--remount-ro", "/"]
    return [*words, "--chdir", PROJECTS, "--", PROGRAMS[program], *arguments]


def execution_argv(
    arguments: Sequence[str],
    directory: str,
    terminals: str,
    extra: Sequence[str],
    limits: Limits,
    filter_fd: int,
    accounts_fd: int,
    resolver_fd: int | None = None,
) -> list[str]:
    """bwrap, inside a session, for `arguments` in `directory`, with the paths `extra` readable beside /usr, and the
    devpts at `terminals`.

    `filter_fd` has the system call filter, `accounts_fd` its /etc/passwd, and `resolver_fd` its /etc/resolv.conf if it
    is to have the network namespace of whoever starts it, and not an empty one. Whoever calls this makes standard input
    the terminal, if there is to be one, and uses `on_terminal`.
    """
    words = [*_confined(limits), BWRAP, *_system(), "--disable-userns", "--die-with-parent", "--new-session"]
    words += ["--seccomp", str(filter_fd)]
    if resolver_fd is not None:
        words += ["--share-net", "--ro-bind-data", str(resolver_fd), "/etc/resolv.conf"]
    words += ["--proc", "/proc", "--dev", "/dev", "--ro-bind-data", str(accounts_fd), "/etc/passwd"]
    words += ["--dev-bind", terminals, TERMINALS]
    for path in _MASKED:
        words += ["--ro-bind", "/dev/null", path]
    for path in PRIVATE:
        words += ["--size", str(limits.tmpfs << 20), "--tmpfs", path]
    for path in (*SHARED_PATHS, *extra):
        words += ["--ro-bind-try", path, path]
    words += ["--bind", PROJECTS, PROJECTS, "--remount-ro", "/dev", "--remount-ro", "/"]
    for key, value in {"HOME": HOME, "TMPDIR": PRIVATE[0], "USER": "enc", "LOGNAME": "enc", "SHELL": SHELL}.items():
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


def check_argv(vault: str, command: Sequence[str]) -> list[str]:
    """bwrap for a `gocryptfs -fsck`, which mounts: the vault is read-only at VAULTS, and what it mounts is seen by it
    alone. Uid 0 of this namespace, for fusermount3, which is not setuid here, asks for that; nothing is written.
    """
    words = [BWRAP, *_system(), "--cap-add", "CAP_SYS_ADMIN", "--die-with-parent", "--new-session"]
    words += ["--uid", "0", "--gid", "0", "--proc", "/proc", "--tmpfs", "/tmp", "--dir", "/dev"]  # noqa: S108
    for node in ("null", "urandom", "fuse"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    return [*words, "--ro-bind", vault, VAULTS, "--chdir", "/", "--", *command]


def code_root() -> str:
    """The directory that `gateway` and `rshell` are imported from."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def python(module_file: str, *arguments: str) -> list[str]:
    """This interpreter on one of our `__main__` files: isolated, and without `site`, which costs 3 ms.

    The real file, not a venv's link to it: what a venv adds is `site`'s work, and ours stands beside this module.
    """
    return [os.path.realpath(sys.executable), "-I", "-S", os.path.join(code_root(), module_file), *arguments]


def passwd(home: str = PROJECTS) -> bytes:
    """An /etc/passwd with the gateway's account alone: sftp-server does not start without an entry."""
    return b"enc:x:%d:%d::%s:/usr/sbin/nologin\n" % (os.getuid(), os.getgid(), home.encode())


def require_program(program: str) -> None:
    process.require(PROGRAMS[program], PACKAGES[program])


def trial_argv() -> list[str]:
    """A sandbox that mounts a /proc and ends: what succeeds where the kernel lets an account have the real one."""
    return [BWRAP, *_system(), "--proc", "/proc", "--", "/usr/bin/true"]


def require_host() -> None:
    """Raise Misconfigured, saying what to do, unless this host lets us make a sandbox with FUSE in it."""
    process.require(BWRAP, "bubblewrap")
    if not os.path.exists(FUSE):
        raise Misconfigured("the gateway's host has no FUSE (/dev/fuse)", "a sysadmin can: modprobe fuse")
    if not os.access(FUSE, os.R_OK | os.W_OK):
        raise Misconfigured("the gateway's host refuses FUSE to this account", "a sysadmin can: chmod 0666 /dev/fuse")
    if process.run(trial_argv(), seconds=10)[0]:
        raise Misconfigured(
            "the gateway's host refuses bubblewrap its user namespaces",
            "a sysadmin can look at sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and"
            " kernel.apparmor_restrict_unprivileged_userns",
        )
