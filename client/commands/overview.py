"""`enc` without a command: where one stands, and the commands that matter next. It makes no connection."""

from __future__ import annotations

from client import options, output
from client.errors import EncError
from client.mount import condition
from client.state import config
from client.state import store as stores
from client.state.config import Profile
from client.state.records import State
from client.system import processes

_FIRST = (("enc init", "connect to a gateway: asks for its host, your account and your key"),)
_NEXT = (
    ("enc new P", "create a project"),
    ("enc mount P", "unlock a project, and mount it until this terminal closes"),
    ("enc run -- CMD", "run a program on the gateway, in the project in which you are"),
    ("enc status", "show what is mounted here, and when it will be locked"),
    ("enc unmount P", "unmount a project and lock it"),
)
_ALL = "`enc help` lists all commands, `enc help COMMAND` explains one."


def show(as_json: bool) -> None:
    """Print where one stands."""
    given = options.given(None, None, None)
    if not (given.host or config.load().default):
        text = "\n".join(("No gateway is set up yet.", "", *_lines(_FIRST + _NEXT), "", _ALL))
        output.result({"gateway": None, "connected": False, "mounts": []}, text, as_json)
        return
    profile = config.choose(given)
    state = _state(profile)
    mounts = [(mount.project, mount.directory, condition.words(state, mount)) for mount in state.mounts.values()]
    connected = state.connection is not None and processes.is_alive(state.connection.master)
    lines = [_standing(profile, connected)]
    lines += [f"{project} is mounted at {output.short(directory)}: {about}" for project, directory, about in mounts]
    fields = {
        "gateway": profile.name,
        "principal": profile.principal or None,
        "connected": connected,
        "mounts": [{"project": project, "directory": directory} for project, directory, _ in mounts],
    }
    output.result(fields, "\n".join((*lines, "", *_lines(_NEXT), "", _ALL)), as_json)


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
