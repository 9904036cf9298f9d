"""Running sshfs over the existing connection, and waiting for its mount.

The options were chosen by measurement (bench/README.md). docs/client.md says what they mean for a program that writes.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from typing import NamedTuple

from client.connection import ssh_options
from client.errors import CannotCreate, EncError, Missing
from client.state.store import Store
from client.system import linux
from client.system.linux import MountEntry

SSHFS = "sshfs"
_FUSE = "/dev/fuse"
_MOUNT_SECONDS = 20.0
"""How long the mount may take to appear."""
ANSWER_SECONDS = 15.0
"""How long the gateway may take to show what is in it."""
_OPTIONS = ("idmap=user", "nosuid", "nodev", "noatime", "dcache_timeout=5")
_LOOK_FOR_CAUSE = "`enc doctor` looks for the cause"
_GATEWAY = "enc: "
"""How the gateway's own words begin."""


class How(NamedTuple):
    """`synchronous`: each write waits for the gateway. `read_only`: the kernel refuses each change (EROFS)."""

    synchronous: bool = False
    read_only: bool = False


def check_installed() -> None:
    """Raises Missing when this machine cannot mount with sshfs."""
    for program, package in ((SSHFS, "sshfs"), (linux.UNMOUNT[0], "fuse3")):
        if not shutil.which(program):
            raise Missing(f"{program} is not installed", f"apt install {package}")
    if not os.access(_FUSE, os.R_OK | os.W_OK):
        raise Missing(f"{_FUSE} cannot be opened", "load the kernel's fuse module, or ask for access to it")


def new_source(project: str) -> str:
    """The source of a new mount, for the mount table. No other mount ever has it: the kernel gives id and device of one
    that is gone to the next, which may be another gateway's project of the same name.
    """
    return f"enc:{project}:{os.urandom(4).hex()}"


def start(store: Store, project: str, source: str, directory: str, how: How, inherit: int) -> subprocess.Popen[bytes]:
    """Start sshfs in the foreground and in a session of its own; it inherits the descriptor `inherit`. The mount table
    has its mount with `source`.

    Call `wait_for_mount` next. Raises Missing.
    """
    # with a slash, sshfs takes what serves it for a line and not for a subsystem
    network = {"sftp_server": f"sftp /{project}", "ControlPath": ssh_options.quoted(store.socket), **ssh_options.SHARED}
    chosen = [
        *_OPTIONS,
        f"fsname={source}",
        *(("sshfs_sync",) if how.synchronous else ()),
        *(("ro",) if how.read_only else ()),
    ]
    chosen += [f"{key}={value}".replace("\\", "\\\\").replace(",", "\\,") for key, value in network.items()]
    argv = [SSHFS, "-f", "-F", "none", "-o", ",".join(chosen), "--", f"enc:{project}", directory]
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


def wait_for_mount(child: subprocess.Popen[bytes], project: str, source: str, directory: str) -> MountEntry:
    """The mount that `child` has made. Raises CannotCreate, and then sshfs has ended.

    sshfs makes it before it connects: nothing is known to be behind it yet.
    """
    deadline = time.monotonic() + _MOUNT_SECONDS
    try:
        while child.poll() is None and time.monotonic() < deadline:
            for entry in linux.mount_table():
                if (entry.source, entry.path) == (source, directory):  # a shared parent can show it elsewhere too
                    return entry
            time.sleep(0.01)
    except BaseException:
        child.kill()
        child.wait()
        raise
    raise failure(child, project)


def failure(child: subprocess.Popen[bytes], project: str) -> EncError:
    """The error for an sshfs that does not mount, or whose mount does not answer. Ends it first.

    It has the gateway's own words, if there are some, else the last that sshfs or its ssh said.
    """
    running = child.poll() is None
    stop(child)
    lines = _messages(child)
    said = next((line.removeprefix(_GATEWAY) for line in lines if line.startswith(_GATEWAY)), "")
    message = said or (lines[-1] if lines else "") or ("" if running else _how_it_ended(child))
    about = f" ({message})" if message else ""
    if running:
        return CannotCreate(
            f"the mount of {project} did not answer in time{about}", "check your network, and try again"
        )
    return CannotCreate(f"sshfs could not mount {project}{about}", _LOOK_FOR_CAUSE)


def _how_it_ended(child: subprocess.Popen[bytes]) -> str:
    """In words, for an sshfs that said nothing."""
    status = child.returncode
    return f"it was killed by signal {-status}" if status < 0 else f"it ended with status {status}"


def _messages(child: subprocess.Popen[bytes]) -> list[str]:
    """The lines on the standard error of an sshfs that has ended."""
    assert child.stderr is not None  # noqa: S101
    poll = select.poll()
    poll.register(child.stderr, select.POLLIN)
    data = os.read(child.stderr.fileno(), 4096) if poll.poll(1000) else b""
    return data.decode(errors="replace").strip().splitlines()


def stop(child: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, at which sshfs unmounts what it has mounted; SIGKILL after 2 s."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
