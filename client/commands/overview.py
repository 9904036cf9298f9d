"""`enc` without a command: where one stands, and the commands that matter next. It makes no connection."""

from __future__ import annotations

from client import options, output
from client.errors import EncError
from client.mount import condition
from client.state import config, hosts
from client.state import store as stores
from client.state.config import Profile
from client.state.records import Mount, State
from client.system import processes

_FIRST = (("enc init", "connect to a gateway: asks for its host, your account and your key"),)
_NEW = ("enc new P", "create a project")
_NOTHING_MOUNTED = (
    _NEW,
    ("enc ls", "list your projects"),
    ("enc mount P", "unlock a project, and mount it until this terminal closes"),
    ("enc doctor", "look for what is wrong, if the gateway does not let you in"),
)
_MOUNTED = (
    ("enc run -- CMD", "run a program on the gateway, in the project in which you are"),
    ("enc status", "show what is mounted here, and when it will be locked"),
    ("enc unmount P", "unmount a project and lock it"),
    ("enc mount P", "unlock and mount another project"),
    _NEW,
)
_WAITING = (
    ("enc ls", "works when your sysadmin has approved your key"),
    ("enc doctor", "check this machine, and whether the gateway lets you in"),
)
_ALL = "`enc help` lists all commands, `enc help COMMAND` explains one."


def show(as_json: bool) -> None:
    """Print where one stands."""
    given = options.given(None, None, None)
    if not (given.host or config.load().default):
        text = "\n".join(("No gateway is set up yet.", "", *_lines(_FIRST + _NOTHING_MOUNTED), "", _ALL))
        output.result({"gateway": None, "connected": False, "mounts": []}, text, as_json)
        return
    profile = config.choose(given)
    known = [(each, _state(each)) for each in hosts.all_of(profile)]
    mounts = [mount for _, state in known for mount in state.mounts.values()]
    connected = any(state.connection and processes.is_alive(state.connection.master) for _, state in known)
    lines = [_standing(profile, connected)]
    lines += [_about(each, state, mount) for each, state in known for mount in state.mounts.values()]
    fields = {
        "gateway": profile.name,
        "principal": profile.principal or None,
        "connected": connected,
        "mounts": [{"project": mount.project, "directory": mount.directory} for mount in mounts],
    }
    output.result(fields, "\n".join((*lines, "", *_lines(_next(profile, mounts)), "", _ALL)), as_json)


def _about(profile: Profile, state: State, mount: Mount) -> str:
    if condition.is_being_made(mount):
        return f"{mount.project} is being mounted by another enc."
    on = f" on {profile.other}" if profile.other else ""
    return f"{mount.project} is mounted at {output.short(mount.directory)}{on}: {condition.words(state, mount)}"


def _next(profile: Profile, mounts: list[Mount]) -> tuple[tuple[str, str], ...]:
    """The commands that fit where one stands."""
    if profile.waiting:
        return _WAITING
    return _MOUNTED if mounts else _NOTHING_MOUNTED


def _state(profile: Profile) -> State:
    try:
        return stores.of(profile).read()
    except EncError as error:
        output.note(f"enc: {error}; {error.hint}")
        return State()


def _standing(profile: Profile, connected: bool) -> str:
    who = f" as {profile.principal}" if profile.principal else ""
    where = profile.name if profile.name == profile.host else f"{profile.name} ({profile.host})"
    if profile.waiting:
        return f"Gateway {where}: your key {profile.waiting} waits for your sysadmin to approve it."
    if connected:
        return f"Gateway {where}: connected{who}."
    return f"Gateway {where}{who}: not connected; `enc mount` connects."


def _lines(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [f"  {line}" for line in output.columns(list(rows)).split("\n")]
