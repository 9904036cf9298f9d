"""How a mount is, in a few words for its user."""

from __future__ import annotations

from client.mount import entries
from client.state.records import DETACHED, Mount, State
from client.state.terminal import here
from client.system import processes


def is_being_made(mount: Mount) -> bool:
    """Whether another enc is mounting it just now: at the passphrase's prompt, for example."""
    return not mount.mount_id and processes.is_alive(mount.owner)


def of(mount: Mount) -> str:
    """watched; or not watched, or gone: then the next command of enc clears it away."""
    if is_being_made(mount):
        return "being mounted"
    if entries.find(mount) is None or not processes.is_alive(mount.sshfs):
        return "gone"
    return "watched" if processes.is_alive(mount.monitor) else "not watched"


def until(state: State, mount: Mount) -> str:
    """When it ends by itself."""
    if mount.terminal == DETACHED:
        return "you unmount it (detached)"
    terminal = state.terminals.get(mount.terminal)
    if terminal and mount.owner in terminal.followed:  # the enc that mounted it is still there
        return "`enc open` ends"
    if terminal is None or not terminal.tty:
        return "the program that called enc ends"
    return "this terminal closes" if terminal.tty == here() else f"{terminal.tty.removeprefix('/dev/')} closes"


def words(state: State, mount: Mount) -> str:
    """Both, for a line."""
    condition = of(mount)
    return f"until {until(state, mount)}" if condition == "watched" else condition
