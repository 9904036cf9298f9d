"""cgroup v2 around what `run`, `shell` and git start: the only module that knows it.

Sources: the kernel's cgroup-v2.rst, and systemd's "Control Group APIs and Delegation".

A session's warden begins where sshd's process was, which is root's. What is delegated to the account belongs to it and
has systemd's mark: the cgroup in which the whole gateway was started, or else a scope into which the account's own
systemd, asked over the user bus, takes the warden. Below it there are then

    session    what was there before, for only a cgroup without processes may give controllers to those below it
    run-...    one for each program: its front makes it, the warden starts the program in it, the front removes it
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, contextmanager, suppress

from gateway.base import locks, process
from gateway.base.records import Fd, Record
from gateway.errors import Misconfigured
from gateway.sandbox.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BUSCTL, _SYSTEMCTL, _USER_BUS = "/usr/bin/busctl", "/usr/bin/systemctl", "/usr/lib/systemd/user/dbus.socket"
CONTROLLERS = ("memory", "pids")
MARK = "user.delegate"
"""systemd's extended attribute of a cgroup whose inside is not its own to arrange (since version 250)."""

_SESSION, _PROGRAM = "session", "run-"
_MOMENT, _PATIENCE = 0.2, 2.0


class Limits(Record):
    """Of a program as a whole: `memory` in MiB, its tmpfs included; 0 for none."""

    memory: int
    processes: int


class Room(Record):
    """A program's cgroup. `enter` and `leave` are descriptors of `cgroup.procs`, of this one and the warden's own."""

    path: str
    enter: Fd
    leave: Fd

    def ran_out(self) -> bool:
        """Whether the kernel has ended what was in it for want of memory."""
        try:
            return "oom_kill 0" not in _read(self.path, "memory.events").splitlines()
        except FileNotFoundError:  # it has no memory controller
            return False


@contextmanager
def given(target: Target, limits: Limits) -> Iterator[Room | None]:
    """A cgroup for a program of the session `target`, to the end of the block, when nothing of the program is left;
    None where nothing is delegated to us. Raises Misconfigured, NotUnlocked.
    """
    with ExitStack() as held:
        try:
            base = _base(target)
            if base is None:
                room = None
            else:
                path = held.enter_context(_made(base))
                _limit(path, limits)
                room = Room(path=path, enter=_opened(path), leave=_opened(os.path.join(base, _SESSION)))
                held.callback(os.close, room.enter)
                held.callback(os.close, room.leave)
        except OSError as error:
            raise Misconfigured("the gateway's host gives programs no cgroup", error.strerror) from error
        yield room


def root() -> str:
    """Where cgroup v2 is mounted as a whole; "" for nowhere."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for fields in map(str.split, file):
            if fields[fields.index("-") + 1] == "cgroup2" and fields[3] == "/":
                return fields[4]
    return ""


def controllers(path: str) -> list[str]:
    """Those of CONTROLLERS that the cgroup `path` could give to cgroups below it."""
    there = _read(path, "cgroup.controllers").split()
    return [name for name in CONTROLLERS if name in there]


def lacking(uid: int) -> str:
    """Why the systemd of the account `uid` could give no cgroup to a program; "" when nothing is known against it."""
    top = root()
    if not top or set(controllers(top)) < set(CONTROLLERS):
        return "the kernel has memory and pids not in v2"
    if not os.path.isdir("/run/systemd/system"):
        return "the host has no systemd"
    if not all(map(os.path.exists, (BUSCTL, _USER_BUS))):
        return "systemd has no user bus (apt install dbus-user-session)"
    words = [_SYSTEMCTL, "show", "--value", "--property", "DelegateControllers", f"user@{uid}.service"]
    if not set(CONTROLLERS) <= set(process.run(words, seconds=10)[1].split()):
        return f"user@{uid}.service is not given memory and pids"
    return ""


def _base(target: Target) -> str | None:
    """The cgroup of ours that `target` is in, arranged; None when there is none."""
    base = _delegated(target.pid)
    if base is None and os.path.exists(_bus()):
        target.require_live()
        _ask_systemd(target)
        base = _delegated(target.pid)
    if base is not None:
        with locks.Directory(base):
            _arrange(base)
    return base


def _delegated(pid: int) -> str | None:
    """The cgroup of the process `pid`, or the one above, that is delegated to our account."""
    own = _of(pid)
    return next(filter(_ours, (own, os.path.dirname(own))), None)


def _of(pid: int) -> str:
    """The cgroup of the process `pid`; "" when that has ended, or is not below the mount."""
    top = root()
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            path = next((line.rstrip("\n")[3:] for line in file if line.startswith("0::/")), "")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return top + path if top and ".." not in path.split("/") else ""


def _ours(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid() and os.getxattr(path, MARK) == b"1"
    except OSError:  # no mark, or gone
        return False


def _bus() -> str:
    return f"/run/user/{os.geteuid()}/bus"


def _ask_systemd(target: Target) -> None:
    """Have the account's systemd take the warden into a scope, which ends with it, and put the mark on that, which only
    the systemd of root does. Two fronts may ask at once, and the one that is refused finds it done a moment later.
    """
    unit = f"enc-{target.name}.scope"
    words = [BUSCTL, f"--address=unix:path={_bus()}", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]
    words += ["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "3"]
    words += ["PIDs", "au", "1", str(target.pid), "Delegate", "b", "true", "CollectMode", "s", "inactive-or-failed"]
    process.require(BUSCTL, "systemd")
    refused = process.run([*words, "0"], seconds=10)[0]
    deadline = time.monotonic() + (_MOMENT if refused else _PATIENCE)
    while os.path.basename(path := _of(target.pid)) != unit:
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)
    os.setxattr(path, MARK, b"1")


def _arrange(base: str) -> None:
    """Make `base` give its controllers to those below it, which takes moving what is in it."""
    wanted = controllers(base)
    inside = os.path.join(base, _SESSION)
    if os.path.isdir(inside) and set(wanted) <= set(_read(base, "cgroup.subtree_control").split()):
        return
    os.makedirs(inside, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE
    while True:
        for pid in _read(base, "cgroup.procs").split():
            with suppress(ProcessLookupError):  # it has ended since
                _write(inside, "cgroup.procs", pid)
        try:
            _write(base, "cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))
            return
        except OSError as error:  # EBUSY: one has started another meanwhile
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise


@contextmanager
def _made(base: str) -> Iterator[str]:
    """A new cgroup in `base`. It is locked for life: one that is not was left behind by a front that was killed."""
    path = os.path.join(base, f"{_PROGRAM}{os.urandom(6).hex()}")
    with ExitStack() as held:
        with locks.Directory(base):
            for name in os.listdir(base):
                if name.startswith(_PROGRAM):
                    _sweep(os.path.join(base, name))
            os.mkdir(path)
            held.callback(_remove, path)
            held.enter_context(locks.Directory(path))
        yield path


def _sweep(path: str) -> None:
    try:
        with locks.Directory(path, wait=False):
            os.rmdir(path)
    except OSError:  # somebody's, or being swept by another
        return


def _limit(path: str, limits: Limits) -> None:
    """Also: nothing of it goes to a swap device, and a program out of memory ends as a whole."""
    given = {"pids.max": limits.processes, "memory.max": limits.memory << 20}
    for name, number in {**given, "memory.oom.group": 1}.items():
        if number and os.path.exists(os.path.join(path, name)):
            _write(path, name, str(number))
    with suppress(FileNotFoundError):  # no memory controller, or no swap accounting
        _write(path, "memory.swap.max", "0")


def _remove(path: str) -> None:
    """End what is in it and remove it. What the kernel cannot end now stays, and is swept when it has."""
    deadline = time.monotonic() + _PATIENCE
    with suppress(FileNotFoundError):
        _write(path, "cgroup.kill", "1")
        while time.monotonic() < deadline:
            try:
                os.rmdir(path)
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            time.sleep(0.005)


def _read(path: str, name: str) -> str:
    with open(os.path.join(path, name), encoding="ascii") as file:
        return file.read()


def _opened(path: str, name: str = "cgroup.procs") -> Fd:
    """Without O_CREAT, which makes of a file that is not there one that is forbidden."""
    return Fd(os.open(os.path.join(path, name), os.O_WRONLY | os.O_CLOEXEC))


def _write(path: str, name: str, text: str) -> None:
    fd = _opened(path, name)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
