"""Running what a user chose: the session's side of `run`, `shell` and git."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios

from gateway import protocol, sandbox, syscalls
from gateway.errors import Misconfigured
from gateway.sandbox import TERMINALS
from gateway.syscalls import MS_NOEXEC, MS_NOSUID
from gateway.warden.programs import Program, Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def start(programs: Programs, request: protocol.Execute, fds: list[int], front: socket.socket) -> None:
    """Start what `request` asks for. The descriptors stay the caller's. Raises EncError, and then nothing runs."""
    filter_fd, *rest = fds
    network = rest.pop(0) if request.network else None
    accounts = _accounts()
    limits = sandbox.Limits(**{name: getattr(request, name) for name in sandbox.Limits._fields})
    argv = sandbox.execution_argv(
        request.arguments, request.directory, request.paths, limits, filter_fd, accounts, shares_network=bool(network)
    )
    program = Program(front=front, label=request.label, origin=request.origin, view=request.project)
    passed = (filter_fd, accounts)
    try:
        if request.terminal:
            pid = _on_terminal(programs, request, argv, program, passed)
        else:
            pid = programs.start(argv, program, dict(enumerate(rest)), passed)
    finally:
        os.close(accounts)
    if request.seconds:
        programs.stop_after(pid, request.seconds)


def _on_terminal(
    programs: Programs, request: protocol.Execute, argv: list[str], program: Program, passed: tuple[int, ...]
) -> int:
    """The front gets the other end and carries what goes through it: the session has other things to attend to."""
    try:
        controller, terminal = _pair(request.rows, request.columns)
    except OSError as error:
        raise Misconfigured("the gateway's host refuses a terminal", error.strerror) from error
    try:
        argv = sandbox.on_terminal(argv, request.terminal)
        pid = programs.start(argv, program, dict.fromkeys((0, 1, 2), terminal), passed)
        with contextlib.suppress(OSError):  # the front is gone; its end is watched for
            protocol.send(program.front, protocol.Terminal(), [controller])
        return pid
    finally:
        os.close(controller)
        os.close(terminal)


def _pair(rows: int, columns: int) -> tuple[int, int]:
    """Both ends of a new terminal. It is the session's own: one of the host's has no name in a sandbox, and what a
    program asks first is what its terminal is called (ttyname(3)).
    """
    if not os.path.exists(_MULTIPLEXER):
        syscalls.mount("devpts", TERMINALS, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    controller = os.open(_MULTIPLEXER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0))
        fcntl.ioctl(controller, _TIOCSPTLCK, struct.pack("i", 0))
        (number,) = struct.unpack("i", fcntl.ioctl(controller, _TIOCGPTN, b"\0" * 4))
        return controller, os.open(f"{TERMINALS}/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(controller)
        raise


_MULTIPLEXER = f"{TERMINALS}/ptmx"
_TIOCGPTN, _TIOCSPTLCK = 0x80045430, 0x40045431
"""ioctl_tty(2), asm-generic; the termios module has neither. The other end's number, and, with 0, its unlocking."""


def _accounts() -> int:
    """An /etc/passwd for bwrap to read."""
    fd = os.memfd_create("passwd", os.MFD_CLOEXEC)
    os.write(fd, sandbox.passwd(sandbox.HOME))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
