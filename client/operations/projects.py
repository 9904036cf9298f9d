"""Mounting a project and taking it away again, as commands do it: whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time

from client.background import dead_man_switch, watchdog
from client.connection import session, session_events, ssh
from client.errors import Busy, CannotCreate, Missing, NoSuchProject, NotMounted, Usage
from client.mount import mount_point, sshfs, teardown
from client.mount.mount_point import MountPoint
from client.state.config import Profile
from client.state.store import Connection, Mount, State, Store, Terminal
from client.system import linux as platform
from client.system import passphrase_prompt, processes

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SETTLES = 6.0
"""Seconds for an end that is under way: the gateway may not answer."""
_FLUSH = 30.0
"""Seconds for an unmount that somebody asked for to write back what is not written yet."""


def checked_name(project: str) -> str:
    """`project`, if it is a name that a project may have. Raises Usage."""
    if not _NAME.fullmatch(project) or ".." in project:
        hint = "small letters, digits, '.', '_' and '-', at most 63, first a letter or digit, no '..'"
        raise Usage(f"{project!r} is not a name for a project", hint)
    return project


def need_sshfs() -> None:
    """Raises Missing when this machine cannot mount."""
    for program, package in ((sshfs.SSHFS, "sshfs"), (platform.UNMOUNT[0], "fuse3")):
        if not shutil.which(program):
            raise Missing(f"{program} is not installed", f"apt install {package}")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Missing("/dev/fuse cannot be opened", "load the kernel's fuse module, or ask for access to it")


def mount(
    profile: Profile, store: Store, terminal: Terminal, project: str, directory: str = "", synchronous: bool = False
) -> Mount:
    """Log in when needed, unlock and mount; it is `terminal`'s, and has a monitor. When it fails, it leaves nothing."""
    checked_name(project)
    need_sshfs()
    reserved = Mount(project, "", False, terminal.id, processes.of(os.getpid()))
    _settle(store, project)
    new = terminal.id not in store.read().terminals
    _reserve(store, reserved)
    unlocked = False
    try:
        connection, _ = session.join(profile, store, terminal)
        with mount_point.prepared(directory or mount_point.default(project)) as point:
            unlocked = _unlock(store, connection, project)
            mounted = _mounted(store, connection, reserved, point, synchronous)
    except BaseException:
        if unlocked:
            teardown.lock(store, project)
        store.change(lambda now: now.without_mount(project))
        if new:
            teardown.end_terminal(store, terminal.id)
        raise
    watchdog.start_monitors(store, terminal.id)
    return mounted


def _settle(store: Store, project: str) -> None:
    """Let an end of the project's last mount that is under way come to its end, and sweep what nobody sees to."""
    deadline = time.monotonic() + _SETTLES
    while (there := store.read().mounts.get(project)) and processes.alive(there.ending):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    with store.lock("login"):
        teardown.sweep(store)


def _reserve(store: Store, mount: Mount) -> None:
    """Take the project's place in the state, so that two at once do not both mount it. Raises CannotCreate."""

    def reserve(now: State) -> State:
        if (there := now.mounts.get(mount.project)) and there.ending and sshfs.upon(there):
            stays = f"{mount.project} cannot be unmounted from {there.directory} until what is mounted over it is gone"
            raise CannotCreate(stays, f"nothing can be read through it; `umount {there.directory}` as root ends that")
        if there:
            at = there.directory or "another directory, just now"
            raise CannotCreate(f"{mount.project} is mounted at {at}", f"`enc unmount {mount.project}` takes it away")
        return now.with_mount(mount)

    store.change(reserve)


def _unlock(store: Store, connection: Connection, project: str) -> bool:
    """Have the project unlocked in the session; whether it was us. Asks for the passphrase only if it will be used."""
    listed = {each["name"]: each["state"] for each in ssh.ask(store, "ls")["projects"]}
    if project not in listed:
        raise NoSuchProject(f"you have no project {project}", f"`enc new {project}` creates it; `enc ls` lists yours")
    if listed[project] == "unlocked":
        held_by = _holder(store, project)
        if held_by == connection.session:
            return False
        if held_by in store.read().lost:  # ours, before the network went: the gateway would notice within 20 s
            ssh.ask(store, "unmount", project)
        else:
            ssh.ask(store, "mount", project)  # says who has it, before it would read anything
    ssh.ask(store, "mount", project, secret=passphrase_prompt.obtain(f"Passphrase of {project}: "))
    session_events.wait_until_unlocked(store, project)
    return True


def _holder(store: Store, project: str) -> str:
    """The session of ours that has the project unlocked; "" when none has any more."""
    for each in ssh.ask(store, "status")["sessions"]:
        if project in [view["project"] for view in each["views"]]:
            return str(each["id"])
    return ""


def _mounted(store: Store, connection: Connection, reserved: Mount, point: MountPoint, synchronous: bool) -> Mount:
    """The mount, made and recorded: the process as soon as it runs, the mount as soon as it is there."""
    earlier = {entry.id for entry in platform.mounts()}
    mount = reserved._replace(directory=point.path, made=point.made, source=sshfs.source_of(reserved.project))
    with dead_man_switch.guarding(store, connection.master) as guard:
        child = sshfs.start(store, mount.project, point.path, synchronous, guard)
    try:
        mount = mount._replace(sshfs=processes.of(child.pid))
        store.change(lambda now: now.with_mount(mount))
        entry = sshfs.appeared(child, mount.project, point.path, earlier)
    except BaseException:
        _stop(child)
        raise
    sshfs.keep_apart(entry)
    mount = mount._replace(device=entry.device, mount_id=entry.id)
    store.change(lambda now: now.with_mount(mount))
    child.returncode = 0  # it is the monitor's from here on
    return mount


def _stop(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, upon which sshfs unmounts what it may have mounted."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def unmount(store: Store, project: str, force: bool) -> bool:
    """Write back, unmount, lock; whether the gateway said that it locked. Raises NotMounted, or Busy without force."""
    mount = store.read().mounts.get(project)
    if mount is None:
        raise NotMounted(f"{project} is not mounted", "`enc status` shows what is")
    if force:
        return teardown.end_mount(store, mount)
    if not teardown.end_mount_if_unused(store, mount, _FLUSH):
        pids = platform.users(mount.directory)
        by = ", ".join(f"{platform.name_of(pid)} ({pid})" for pid in pids[:5]) or "another program"
        raise Busy(f"{project} is in use by {by}", f"close it, or `enc unmount --force {project}`")
    return True
