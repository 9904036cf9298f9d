"""cgroup v2 for the programs that `run`, `shell` and git start. No other module knows cgroups.

Sources: the kernel's cgroup-v2.rst, and systemd's "Control Group APIs and Delegation".

A warden starts in the cgroup of sshd's process, which belongs to root. To create cgroups, the account needs one that is
delegated to it: it belongs to the account and has systemd's `user.delegate` attribute. That is either the cgroup in
which the whole gateway was started, or a scope: the account's own systemd, called over the user bus, moves the warden
into one. Below the delegated cgroup there are then

    session    the processes that were in it before: a cgroup with processes cannot give controllers to its children
    run-...    one for each program: the front creates it, the warden starts the program in it, the front removes it
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, contextmanager, suppress

from gateway.base import locks, process
from gateway.base.records import Fd, Record
from gateway.errors import Dropped, Misconfigured
from gateway.sandbox.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BUSCTL, _SYSTEMCTL, _USER_BUS = "/usr/bin/busctl", "/usr/bin/systemctl", "/usr/lib/systemd/user/dbus.socket"
CONTROLLERS = ("memory", "pids")
DELEGATE_ATTRIBUTE = "user.delegate"
"""The extended attribute by which systemd leaves the inside of a cgroup to somebody else (since version 250)."""

_SESSION, _PROGRAM = "session", "run-"
_RACE_SECONDS, _TIMEOUT_SECONDS = 0.2, 2.0
"""How long to wait for a scope that another front has already asked for, and for anything else."""


class Limits(Record):
    """Limits of a program as a whole: `memory` in MiB, including its tmpfs; 0 for no limit."""

    memory: int
    processes: int


class ProgramCgroup(Record):
    """The cgroup of a program. `enter` and `leave` are descriptors of the `cgroup.procs` of this cgroup, and of the
    warden's.
    """

    path: str
    enter: Fd
    leave: Fd

    def was_oom_killed(self) -> bool:
        """Whether the kernel has killed the program because its memory limit was reached."""
        try:
            return "oom_kill 0" not in _read(self.path, "memory.events").splitlines()
        except FileNotFoundError:  # it has no memory controller
            return False


@contextmanager
def program_cgroup(target: Target, limits: Limits, outlives: bool = False) -> Iterator[ProgramCgroup | None]:
    """A cgroup for a program of the session `target`; None if no cgroup is delegated to the account.

    At the end of the block the program is killed, if it still runs, and the cgroup removed. A program that `outlives`
    us goes on; its cgroup is removed by who makes another one when it has ended. Raises Misconfigured, NotUnlocked.
    """
    with ExitStack() as resources:
        try:
            base = _delegated_cgroup(target)
            if base is None:
                cgroup = None
            else:
                path = resources.enter_context(_new_cgroup(base, outlives))
                _set_limits(path, limits)
                enter = _open_control(path, "cgroup.procs")
                resources.callback(os.close, enter)
                leave = _open_control(os.path.join(base, _SESSION), "cgroup.procs")
                resources.callback(os.close, leave)
                cgroup = ProgramCgroup(path=path, enter=enter, leave=leave)
        except OSError as error:
            raise Misconfigured("the gateway could not create a cgroup for the program", error.strerror) from error
        yield cgroup


def root() -> str:
    """The mount point of the whole cgroup v2 hierarchy; "" if it is not mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for fields in map(str.split, file):
            if fields[fields.index("-") + 1] == "cgroup2" and fields[3] == "/":
                return fields[4]
    return ""


def controllers(path: str) -> list[str]:
    """Those of CONTROLLERS that the cgroup `path` can give to its children."""
    available = _read(path, "cgroup.controllers").split()
    return [name for name in CONTROLLERS if name in available]


def unavailable(uid: int) -> str:
    """Why programs of the account `uid` cannot get a cgroup from its systemd; "" if no reason is known."""
    top = root()
    if not top or set(controllers(top)) < set(CONTROLLERS):
        return "cgroup v2 does not have the controllers memory and pids"
    if not os.path.isdir("/run/systemd/system"):
        return "the host does not run systemd"
    if not all(map(os.path.exists, (BUSCTL, _USER_BUS))):
        return "systemd has no user bus (apt install dbus-user-session)"
    words = [_SYSTEMCTL, "show", "--value", "--property", "DelegateControllers", f"user@{uid}.service"]
    if not set(CONTROLLERS) <= set(process.run(words, seconds=10)[1].split()):
        return f"the controllers memory and pids are not delegated to user@{uid}.service"
    return ""


def _delegated_cgroup(target: Target) -> str | None:
    """The delegated cgroup that `target` is in, ready for children; None if there is none."""
    base = _find_delegated(target.pid)
    if base is None and os.path.exists(_bus()):
        target.require_live()
        _create_scope(target)
        base = _find_delegated(target.pid)
    if base is not None:
        with locks.DirectoryLock(base):
            _enable_controllers(base)
    return base


def _find_delegated(pid: int) -> str | None:
    """The cgroup of the process `pid`, or its parent, whichever is delegated to our account."""
    own = _cgroup_of(pid)
    return next(filter(_is_delegated, (own, os.path.dirname(own))), None)


def _cgroup_of(pid: int) -> str:
    """The cgroup of the process `pid`; "" if the process has ended, or the cgroup is not below the mount point."""
    top = root()
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            path = next((line.rstrip("\n")[3:] for line in file if line.startswith("0::/")), "")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return top + path if top and ".." not in path.split("/") else ""


def _is_delegated(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid() and os.getxattr(path, DELEGATE_ATTRIBUTE) == b"1"
    except OSError:  # it has no such attribute, or is gone
        return False


def _bus() -> str:
    return f"/run/user/{os.geteuid()}/bus"


def _create_scope(target: Target) -> None:
    """Have the account's systemd move the warden into a scope, which ends with it, and set the attribute on the scope.

    Only root's systemd sets that attribute itself. Two fronts may do this at the same time: the call of the second is
    refused, and it waits until the scope of the first is there.
    """
    unit = f"enc-{target.name}.scope"
    words = [BUSCTL, f"--address=unix:path={_bus()}", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]
    words += ["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "3"]
    words += ["PIDs", "au", "1", str(target.pid), "Delegate", "b", "true", "CollectMode", "s", "inactive-or-failed"]
    process.require(BUSCTL, "systemd")
    refused = process.run([*words, "0"], seconds=10)[0]
    deadline = time.monotonic() + (_RACE_SECONDS if refused else _TIMEOUT_SECONDS)
    while os.path.basename(path := _cgroup_of(target.pid)) != unit:
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)
    os.setxattr(path, DELEGATE_ATTRIBUTE, b"1")


def _enable_controllers(base: str) -> None:
    """Enable the controllers for the children of `base`, after moving its processes into a child."""
    wanted = controllers(base)
    child = os.path.join(base, _SESSION)
    if os.path.isdir(child) and set(wanted) <= set(_read(base, "cgroup.subtree_control").split()):
        return
    os.makedirs(child, exist_ok=True)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        for pid in _read(base, "cgroup.procs").split():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                _write(child, "cgroup.procs", pid)
        try:
            _write(base, "cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))
            return
        except OSError as error:  # EBUSY: a process in `base` has started another one meanwhile
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise


@contextmanager
def _new_cgroup(base: str, outlives: bool) -> Iterator[str]:
    """Create a cgroup in `base`, and remove it at the end of the block, unless its program outlives that.

    It is locked for as long: one without a lock was left behind by a front that was killed, and is removed here.
    """
    path = os.path.join(base, f"{_PROGRAM}{os.urandom(6).hex()}")
    with ExitStack() as resources:
        with locks.DirectoryLock(base):
            for name in os.listdir(base):
                if name.startswith(_PROGRAM):
                    _remove_abandoned(os.path.join(base, name))
            os.mkdir(path)
            resources.callback(_remove_abandoned if outlives else _remove, path)
            resources.enter_context(locks.DirectoryLock(path))
        yield path


def _remove_abandoned(path: str) -> None:
    try:
        with locks.DirectoryLock(path, wait=False):
            os.rmdir(path)
    except OSError:  # it is in use, or another front is removing it
        return


def _set_limits(path: str, limits: Limits) -> None:
    """Set the limits. Also, the program's memory is never swapped, and the OOM killer ends the program as a whole."""
    values = {"pids.max": limits.processes, "memory.max": limits.memory << 20}
    for name, number in {**values, "memory.oom.group": 1}.items():
        if number and os.path.exists(os.path.join(path, name)):
            _write(path, name, str(number))
    with suppress(FileNotFoundError):  # no memory controller, or no swap accounting
        _write(path, "memory.swap.max", "0")


def _remove(path: str) -> None:
    """Kill the processes in the cgroup and remove it. If they do not end in time, a later front removes it.

    The warden is in the cgroup while it starts the program, and has the lock of cgroup.procs then (`entered`): to kill
    the cgroup at that moment would kill the session.
    """
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    with suppress(FileNotFoundError):
        processes = _open_control(path, "cgroup.procs")
        try:
            while not locks.hold(processes):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.005)
            _write(path, "cgroup.kill", "1")
        finally:
            os.close(processes)
        while time.monotonic() < deadline:
            try:
                os.rmdir(path)
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            time.sleep(0.005)


@contextmanager
def entered(enter: int, leave: int) -> Iterator[None]:
    """For the warden: be in the cgroup of the descriptor `enter` for the block, and then in that of `leave`.

    Raises Dropped when the front is about to remove the cgroup, Misconfigured when the kernel refuses.
    """
    if not locks.hold(enter):
        raise Dropped("the command ended before its program was started")
    try:
        try:
            os.write(enter, b"0")
        except OSError as error:
            raise Misconfigured("the session cannot enter the program's cgroup", error.strerror) from error
        try:
            yield
        finally:
            os.write(leave, b"0")
    finally:
        locks.let_go(enter)


def _read(path: str, name: str) -> str:
    with open(os.path.join(path, name), encoding="ascii") as file:
        return file.read()


def _open_control(path: str, name: str) -> Fd:
    """Open a control file without O_CREAT: with it, the error for a missing file would be EACCES, not ENOENT."""
    return Fd(os.open(os.path.join(path, name), os.O_WRONLY | os.O_CLOEXEC))


def _write(path: str, name: str, text: str) -> None:
    fd = _open_control(path, name)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
