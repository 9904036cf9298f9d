"""Mounting and unmounting a project, as the commands do it: completely, or not at all."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from client.background import dead_man_switch, launcher
from client.connection import request, session, session_events
from client.errors import Busy, CannotCreate, FromGateway, NoSuchProject, NotMounted, Usage
from client.mount import condition, entries, hidden_files, mount_point, probe, sshfs, teardown, unmount
from client.mount.mount_point import MountPoint
from client.operations import login, unlocking
from client.state.config import Profile
from client.state.records import Connection, Mount, State, Terminal
from client.state.store import Store
from client.system import linux, names, processes

_END_SECONDS = 6.0
"""How long to wait for an unmount that another process has begun: the gateway may not answer it."""
_TIDY_SECONDS = 5.0
"""For removing what an earlier mount left behind."""
_WRITE_BACK_SECONDS = 30.0
"""How long an unmount that the user asked for may write back."""


def check_name(project: str) -> str:
    """`project`, if it is a valid project name, OWNER/PROJECT included. Raises Usage."""
    if not names.is_project(project):
        hint = "somebody else's is OWNER/PROJECT, as `enc ls` lists it" if "/" in project else names.RULE
        raise Usage(f"{project!r} is not a project name", hint)
    return project


def check_new_name(project: str) -> str:
    """`project`, if one of one's own can be called that. Raises Usage."""
    if names.is_shared(project):
        raise Usage(f"{project!r} is a project of {names.owner(project)}", "name one of your own, without a slash")
    return check_name(project)


class Mounted(NamedTuple):
    """A mount, what opened the project ("": it was open), what the user should know, and whether nothing can be
    changed through it.
    """

    mount: Mount
    by: str
    note: str
    read_only: bool


class Unlocked(NamedTuple):
    """What opened the project, if it was not open for us already, and whether the user may only read it."""

    by: unlocking.Opened | None
    read_only: bool


def mount_project(
    profile: Profile,
    store: Store,
    terminal: Terminal,
    project: str,
    directory: str = "",
    synchronous: bool = False,
    use_keys: bool = True,
) -> Mounted:
    """Log in if needed, unlock the project, mount it for `terminal`, and start its monitor.

    When it fails, everything that it did is undone. `synchronous`: each write waits for the gateway. Without
    `use_keys`, the passphrase is asked for whatever keys there are.
    """
    check_name(project)
    sshfs.check_installed()
    reserved = Mount(project, "", False, terminal.id, processes.of(os.getpid()))
    finish_earlier(store, project)
    new = terminal.id not in store.read().terminals
    _reserve(store, reserved)
    unlocked: Unlocked | None = None
    try:
        connection, _ = login.join(profile, store, terminal)
        with mount_point.prepared(directory or mount_point.default_path(project)) as point:
            unlocked = unlock(profile, store, connection, project, use_keys)
            how = sshfs.How(synchronous, unlocked.read_only)
            mounted = _mount(store, connection, reserved, point, how)
    except BaseException:
        if unlocked and unlocked.by:
            session.lock(store, project)
        store.change(lambda now: now.without_mount(project))
        if new and not store.read().mounts_of(terminal.id):  # another enc of this terminal may have mounted meanwhile
            teardown.end_terminal(store, terminal.id)
        raise
    launcher.start_monitors(store, terminal.id)
    assert unlocked  # noqa: S101 - or we would not be here
    by = unlocked.by or unlocking.Opened({}, "")
    return Mounted(mounted, by.by, by.note, unlocked.read_only)


def finish_earlier(store: Store, project: str) -> None:
    """Wait until another process has ended the project's last mount, and clean up what a crash left."""
    deadline = time.monotonic() + _END_SECONDS
    while (earlier := store.read().mounts.get(project)) and processes.is_alive(earlier.ending):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    with store.lock("login"):
        teardown.clean_up(store)


def check_not_mounted(store: Store, project: str) -> None:
    """Raises CannotCreate if the project is mounted here, or another enc mounts it."""
    finish_earlier(store, project)
    if there := store.read().mounts.get(project):
        raise _already_mounted(there)


def _reserve(store: Store, mount: Mount) -> None:
    """Record the mount before it is made, so that two processes cannot both make it. Raises CannotCreate."""

    def reserve(now: State) -> State:
        if there := now.mounts.get(mount.project):
            raise _already_mounted(there)
        return now.with_mount(mount)

    store.change(reserve)


def _already_mounted(there: Mount) -> CannotCreate:
    project, directory = there.project, there.directory
    if there.ending and entries.mounted_on(there):
        message = f"{project} cannot be unmounted from {directory} while something is mounted over it"
        return CannotCreate(message, f"nothing can be read through it; as root, `umount {directory}` removes the cover")
    if not directory:
        return CannotCreate(f"another enc is mounting {project} just now", "wait for it, and try again")
    return CannotCreate(f"{project} is already mounted at {directory}", f"`enc unmount {project}` unmounts it")


def unlock(profile: Profile, store: Store, connection: Connection, project: str, use_keys: bool = True) -> Unlocked:
    """Unlock the project in the session, if it is not. Asks for the passphrase only if it is needed. One that another
    machine or another member has is ours as well from then on.
    """
    known = _ways(store, project)
    read_only = known.role == "reader"
    if known.is_unlocked and is_held_here(store, connection, project):
        return Unlocked(None, read_only)
    opened = unlocking.ask(profile, project, "mount", project, use_keys=use_keys, store=store, known=known)
    session_events.wait_until_unlocked(store, project)
    if not known.is_unlocked:  # nobody has a file of it open
        hidden_files.remove_left(store, project, _TIDY_SECONDS)
    return Unlocked(opened, read_only)


def _ways(store: Store, project: str) -> unlocking.Ways:
    """How it can be unlocked, and whether it is. Raises NoSuchProject."""
    try:
        found = unlocking.ways(project, lambda *words: request.send(store, *words))
    except FromGateway as error:
        if error.slug != NoSuchProject.slug:
            raise
        raise _no_such_project(project, list(_states(store))) from error
    if found and found.project != project:
        raise Usage(f"{project} is your own project", f"its name is {names.at_owner(project)}: leave out the owner")
    if found:
        return found
    states = _states(store)
    if project not in states:
        raise _no_such_project(project, list(states))
    return unlocking.Ways(project, states[project] == "unlocked", ["passphrase"], [])


def _states(store: Store) -> dict[str, str]:
    """Each of the user's projects: locked or unlocked."""
    return {each["name"]: each["state"] for each in request.send(store, "ls")["projects"]}


def _no_such_project(project: str, known: list[str]) -> NoSuchProject:
    import difflib

    begin = [name for name in known if name.startswith(project)]
    near = begin if len(begin) == 1 else difflib.get_close_matches(project, known, 1, 0.75)
    meant = f"did you mean {near[0]}? " if near else ""
    if names.is_shared(project):
        listed = "`enc ls` lists what is shared with you"
    else:
        listed = f"`enc new {project}` creates it; `enc ls` lists yours"
    return NoSuchProject(f"you have no project {project}", meant + listed)


def is_held_here(store: Store, connection: Connection, project: str) -> bool:
    """Whether our connection holds the project already."""
    for each in request.send(store, "status")["sessions"]:
        if project in [view["project"] for view in each["views"]]:
            if "holders" not in each:  # of an older gateway
                return bool(each["id"] == connection.session)
            called = {project, names.at_owner(project)}  # the latter by the holders of a shared one
            return any(one.get("here") and called.intersection(one["projects"]) for one in each["holders"])
    return False


def _mount(store: Store, connection: Connection, reserved: Mount, point: MountPoint, how: sshfs.How) -> Mount:
    """Make the mount. Records sshfs as soon as it runs, and the mount as soon as it exists, so nothing is lost."""
    source = sshfs.new_source(reserved.project)
    mount = reserved._replace(directory=point.path, made=point.made, source=source)
    with dead_man_switch.armed(store, connection.master) as switch:
        child = sshfs.start(store, mount.project, source, point.path, how, switch)
    try:
        started = processes.find(child.pid)
        if started is None:
            raise sshfs.failure(child, mount.project)
        mount = mount._replace(sshfs=started)
        store.change(lambda now: now.with_mount(mount))
        entry = sshfs.wait_for_mount(child, mount.project, source, point.path)
        mounted = mount = mount._replace(device=entry.device, mount_id=entry.id)
        unmount.make_private(entry)
        if not probe.answers(mount.directory, mount.device, sshfs.ANSWER_SECONDS):
            raise sshfs.failure(child, mount.project)
        store.change(lambda now: now.with_mount(mounted))  # from now on a monitor may find fault with it
    except BaseException:
        sshfs.stop(child)
        if mount.mount_id:
            unmount.by_force(mount)  # a killed sshfs leaves its mount
        raise
    child.returncode = 0  # the monitor ends it; without this, Popen would warn when it is collected
    return mount


def unmount_project(store: Store, project: str, force: bool) -> bool:
    """Write back, unmount and lock; whether the gateway confirmed the lock.

    Raises NotMounted, or without `force` Busy when a program uses the mount.
    """
    mount = store.read().mounts.get(project)
    if mount is None:
        raise NotMounted(f"{project} is not mounted", "`enc status` shows what is mounted")
    if condition.is_being_made(mount):  # which also cleans up, if it fails
        message = f"{project} is not mounted yet: another enc ({mount.owner.pid}) is mounting it"
        raise Busy(message, "wait for it, or press Ctrl-C where it asks for the passphrase")
    if force:
        return teardown.end_mount(store, mount)
    if not teardown.end_mount_if_unused(store, mount, _WRITE_BACK_SECONDS):
        raise _in_use(mount)
    return True


def lock_for_all(profile: Profile, store: Store, project: str, force: bool) -> None:
    """Lock a project of one's own for all who have it, after it was unmounted here if it is mounted. Raises as
    `unmount_project`, and FromGateway.
    """
    check_name(project)
    mounted = project in store.read().mounts
    if mounted:
        unmount_project(store, project, force)
    try:
        unlocking.send(profile, "unmount", project, "--all")
    except FromGateway as error:
        if not (mounted and error.slug == "not-unlocked"):  # we were the last who had it
            raise


def _in_use(mount: Mount) -> Busy:
    """Who uses the mount: not we, who may have been called in it. The shell that called us can leave it."""
    project, calling = mount.project, os.getppid()
    pids = [pid for pid in linux.processes_using(mount.directory) if pid != os.getpid()]
    here = linux.is_in(calling, mount.directory)
    others = [f"{linux.program_name(pid)} ({pid})" for pid in pids if not here or pid != calling][:5]
    force = f"`enc unmount --force {project}`"
    if not here:
        return Busy(f"{project} is in use by {', '.join(others) or 'another program'}", f"close it, or {force}")
    if not others:
        return Busy(f"{project} is in use by this shell", f"`cd` first, or {force}")
    return Busy(f"{project} is in use by this shell and {', '.join(others)}", f"`cd` first and close them, or {force}")
