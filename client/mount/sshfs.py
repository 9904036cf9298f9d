"""Running sshfs over the existing connection, and waiting for its mount.

The options were chosen by measurement (bench/README.md). docs/client.md says what they mean for a program that writes.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time

from client.connection import ssh
from client.errors import CannotCreate, Missing
from client.state.store import Store
from client.system import linux
from client.system.linux import MountEntry

SSHFS = "sshfs"
_MOUNT_SECONDS = 20.0
"""How long the mount may take to appear."""
_OPTIONS = ("idmap=user", "nosuid", "nodev", "noatime", "dcache_timeout=5")
_LOOK_FOR_CAUSE = "`enc doctor` looks for the cause"


def check_installed() -> None:
    """Raises Missing when this machine cannot mount with sshfs."""
    for program, package in ((SSHFS, "sshfs"), (linux.UNMOUNT[0], "fuse3")):
        if not shutil.which(program):
            raise Missing(f"{program} is not installed", f"apt install {package}")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Missing("/dev/fuse cannot be opened", "load the kernel's fuse module, or ask for access to it")


def source_name(project: str) -> str:
    """The source of the mount, as the mount table has it."""
    return f"enc:{project}"


def start(store: Store, project: str, directory: str, synchronous: bool, inherit: int) -> subprocess.Popen[bytes]:
    """Start sshfs in the foreground and in a session of its own; it inherits the descriptor `inherit`.

    Call `wait_for_mount` next. Raises Missing.
    """
    network = {"ControlPath": ssh.escaped(store.socket), **ssh.SHARED}
    chosen = [*_OPTIONS, *(("sshfs_sync",) if synchronous else ())]
    chosen += [f"{key}={value}".replace("\\", "\\\\").replace(",", "\\,") for key, value in network.items()]
    argv = [SSHFS, "-f", "-F", "none", "-o", ",".join(chosen), "--", source_name(project), directory]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[inherit],
            cwd="/",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Missing("sshfs is not installed", "apt install sshfs") from error


def wait_for_mount(child: subprocess.Popen[bytes], project: str, directory: str, earlier: set[int]) -> MountEntry:
    """The mount that `child` has made; its id is not in `earlier`. Raises CannotCreate, and then sshfs has ended."""
    deadline = time.monotonic() + _MOUNT_SECONDS
    source = source_name(project)
    try:
        while child.poll() is None and time.monotonic() < deadline:
            for entry in linux.mount_table():
                if entry.path == directory and entry.source == source and entry.id not in earlier:
                    return entry
            time.sleep(0.01)
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.poll() is None:
        child.kill()
    message = _last_message(child)
    child.wait()
    if "/dev/fuse" in message or "fuse device" in message:
        raise Missing(f"FUSE cannot be used ({message})", _LOOK_FOR_CAUSE)
    raise CannotCreate(f"sshfs could not mount {project}{f' ({message})' if message else ''}", _LOOK_FOR_CAUSE)


def _last_message(child: subprocess.Popen[bytes]) -> str:
    """The last line on the standard error of an sshfs that has ended."""
    assert child.stderr is not None  # noqa: S101
    poll = select.poll()
    poll.register(child.stderr, select.POLLIN)
    data = os.read(child.stderr.fileno(), 4096) if poll.poll(1000) else b""
    lines = data.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def stop(child: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, at which sshfs unmounts what it has mounted; SIGKILL after 2 s."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
