"""Starting programs for fronts: transfers, and what a user chose (`run`, `shell`, and git with its hooks)."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import struct
import termios

from gateway.base import process, syscalls
from gateway.base.records import Fd
from gateway.base.syscalls import CLONE_NEWNET, MS_NOEXEC, MS_NOSUID
from gateway.errors import Internal, Misconfigured
from gateway.sandbox import cgroups, etc, host_files, paths, transfer
from gateway.sandbox.execution import execution_argv, with_terminal
from gateway.sandbox.inside import own_programs
from gateway.sandbox.network import resolver
from gateway.sandbox.paths import ALL, TERMINALS
from gateway.session import channel, protocol
from gateway.session.protocol import Cgroup, NewTerminal, Stdio
from gateway.warden import mounts
from gateway.warden.programs.programs import Program, Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from gateway.sandbox.paths import Shown

_TERMINALS = "/tmp/terminals-"  # noqa: S108 - the sandbox's own
_numbers = itertools.count(1)

_WITH_JOBS = "shell"
WORKSPACE = "workspace"


def attach(programs: Programs, request: protocol.Attach, front: socket.socket, shown: Shown = ALL) -> None:
    """Start a transfer. Raises EncError, and then nothing runs."""
    transfer.require_program(request.program)
    program = _program(request, request.program, front)
    if len(request.patterns) > len(request.arguments):
        raise Internal("more patterns than arguments")
    made = {"/etc/passwd": etc.passwd()}
    patterns = request.patterns if own_programs.can_start() else ()
    if patterns:
        made[own_programs.GLOBBING] = own_programs.SOURCES[own_programs.GLOBBING]
    with host_files.opened((host_files.LINKER_CACHE,), made) as files:
        arguments = (
            (*request.arguments, *transfer.ONLY_READS.get(request.program, ()))
            if shown.read_only
            else request.arguments
        )
        argv = transfer.transfer_argv(request.program, arguments, files, patterns, shown)
        with contextlib.ExitStack() as unstarted:
            if request.traffic is not None:
                times = Fd(os.dup(request.traffic))
                unstarted.callback(os.close, times)
                program = program.replace(view=request.project or "", traffic=times)
            programs.start(argv, program, _standard(request.stdio), files.values())
            unstarted.pop_all()


def _program(request: protocol.Request, label: str, front: socket.socket) -> Program:
    return Program(
        front=front,
        label=label,
        principal=request.principal,
        origin=request.origin,
        fingerprint=request.fingerprint,
        blob=request.blob,
    )


def _standard(stdio: Stdio | None) -> dict[int, int]:
    return {0: stdio.stdin, 1: stdio.stdout, 2: stdio.stderr} if stdio else {}


def start(programs: Programs, request: protocol.Execute, front: socket.socket, shown: Shown = ALL) -> None:
    """The same for what a user chose."""
    made = {}
    if request.terminal and not _has_jobs(request):
        made[own_programs.FOREGROUND] = own_programs.SOURCES[own_programs.FOREGROUND]
    program = _program(request, request.label, front).replace(view=request.project)

    def spawn(argv: list[str], program: Program, passed: tuple[int, ...]) -> int:
        if request.terminal:
            return _on_terminal(programs, request.terminal, argv, program, passed)
        return programs.start(argv, program, _standard(request.stdio), passed)

    with contextlib.ExitStack() as unstarted:
        times = Fd(os.dup(request.traffic))
        unstarted.callback(os.close, times)
        program = program.replace(traffic=times)
        pid = _confined(request, request.arguments, request.directory, made, shown, program, spawn)
        unstarted.pop_all()
    if request.seconds:
        programs.stop_after(pid, request.seconds)


def keep(
    programs: Programs, request: protocol.Enter, front: socket.socket, control: int, shown: Shown = ALL
) -> Program:
    """The same for a workspace, in which our program lets channels in; `control` is its end of the socket for that."""
    process.require(paths.SSHD, "openssh-server")
    made = {own_programs.WORKSPACE: own_programs.SOURCES[own_programs.WORKSPACE]}
    program = _program(request, WORKSPACE, front).replace(view=request.project, is_typed_into=True)

    def spawn(argv: list[str], program: Program, passed: tuple[int, ...]) -> int:
        at = argv.index("--")
        return programs.start(
            [*argv[:at], *own_programs.interpreter_argv(), *argv[at:]], program, {}, (*passed, control)
        )

    where = os.path.join(shown.directory, request.project)
    home = os.path.join(where, paths.KEPT_HOME) if request.home else paths.HOME
    made["/etc/passwd"] = etc.passwd(home, paths.SHELL)
    arguments = own_programs.argv(own_programs.WORKSPACE, str(control), paths.SSHD, home)
    pid = _confined(request, arguments, where, made, shown, program, spawn)
    return programs.running()[pid]


def _confined(
    request: protocol.Confined,
    arguments: Sequence[str],
    directory: str,
    made: dict[str, bytes],
    shown: Shown,
    program: Program,
    spawn: Callable[[list[str], Program, tuple[int, ...]], int],
) -> int:
    """Prepare the sandbox, and `spawn` in it."""
    made = {"/etc/passwd": etc.passwd(paths.HOME), "/etc/group": etc.group(), **made}
    if request.network is not None:
        made["/etc/resolv.conf"] = resolver.FOR_PROGRAMS
    terminals = f"{_TERMINALS}{next(_numbers)}"
    with host_files.opened((host_files.LINKER_CACHE, *etc.files()), made) as files:
        passed = (request.filter, *files.values())
        argv = execution_argv(
            arguments,
            directory,
            terminals,
            request.paths,
            request.limits,
            request.filter,
            files,
            network=request.network is not None,
            shown=shown,
        )
        with contextlib.ExitStack() as unstarted:
            _make_terminals(terminals)
            unstarted.callback(mounts.remove_terminals, terminals)
            with _in_network(request.network), _in_cgroup(request.cgroup):
                pid = spawn(argv, program.replace(terminals=terminals), passed)
            unstarted.pop_all()
    return pid


def _has_jobs(request: protocol.Execute) -> bool:
    return request.label == _WITH_JOBS or not own_programs.can_start()


def _make_terminals(where: str) -> None:
    try:
        mounts.make_terminals(where)
    except OSError as error:
        raise Misconfigured("the gateway's host refuses terminals for a program", error.strerror) from error


@contextlib.contextmanager
def _in_network(namespace: int | None) -> Iterator[None]:
    """What is started meanwhile is started in this network namespace; None for the session's own."""
    if namespace is None:
        yield
        return
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            syscalls.setns(namespace, CLONE_NEWNET)
        except OSError as error:
            raise Misconfigured("the session cannot enter the program's network", error.strerror) from error
        try:
            yield
        finally:
            syscalls.setns(own, CLONE_NEWNET)
    finally:
        os.close(own)


def _in_cgroup(cgroup: Cgroup | None) -> contextlib.AbstractContextManager[None]:
    """What is started meanwhile is started in this cgroup; None for the session's."""
    return cgroups.entered(cgroup.enter, cgroup.leave) if cgroup else contextlib.nullcontext()


def _on_terminal(
    programs: Programs, wanted: NewTerminal, argv: list[str], program: Program, passed: tuple[int, ...]
) -> int:
    """The front gets the other end and carries what goes through it: the session has other things to attend to."""
    try:
        controller, terminal = _pair(wanted.rows, wanted.columns)
    except OSError as error:
        raise Misconfigured("the gateway's host refuses a terminal", error.strerror) from error
    try:
        argv = with_terminal(argv, wanted.type, own_programs.FOREGROUND not in argv)
        pid = programs.start(argv, program, dict.fromkeys((0, 1, 2), terminal), passed)
        with contextlib.suppress(OSError):  # the front is gone; its end is watched for
            channel.send(program.front, protocol.Terminal(controller=Fd(controller)))
        return pid
    finally:
        os.close(controller)
        os.close(terminal)


def _pair(rows: int, columns: int) -> tuple[int, int]:
    """Both ends of a new terminal. It is the session's own: one of the host's has no name in a sandbox, and what a
    program asks first is what its terminal is called (ttyname(3)).
    """
    if not os.path.exists(_MULTIPLEXER):
        syscalls.mount(
            "devpts",
            TERMINALS,
            "devpts",
            MS_NOSUID | MS_NOEXEC,
            f"newinstance,ptmxmode=0666,mode=0620,max={_MOST_TERMINALS}",
        )
    controller = os.open(_MULTIPLEXER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0))
        fcntl.ioctl(controller, _TIOCSPTLCK, struct.pack("i", 0))
        (number,) = struct.unpack("i", fcntl.ioctl(controller, _TIOCGPTN, b"\0" * 4))
        return controller, os.open(f"{TERMINALS}/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(controller)
        raise


_MOST_TERMINALS = 1024
"""Of all programs of a session: the host has a number of terminals for all namespaces together (kernel.pty.max)."""
_MULTIPLEXER = f"{TERMINALS}/ptmx"
_TIOCGPTN, _TIOCSPTLCK = 0x80045430, 0x40045431
"""ioctl_tty(2), asm-generic; the termios module has neither. The other end's number, and, with 0, its unlocking."""
