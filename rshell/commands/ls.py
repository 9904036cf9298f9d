"""List the caller's projects."""

from __future__ import annotations

import time

from gateway.base import text
from gateway.errors import NoSuchProject
from gateway.limits.disk import usage
from gateway.vault import lease, store
from gateway.vault.store import Vault
from rshell.context import Context
from rshell.language.command import Command
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNT_SECONDS = 0.5
"""For counting the sizes of all projects together."""


def run(context: Context, command: Command) -> int:
    """Print each project: locked or unlocked, size on disk, last use."""
    unlocked = {view.project for session in context.sessions() for view in session.views}
    deadline = time.monotonic() + _COUNT_SECONDS
    projects = [_fields(vault, vault.name in unlocked, deadline) for vault in _vaults(context.vaults_home)]
    words = text.columns([_HEADER, *map(_row, projects)]) if projects else "no projects yet; `new NAME` creates one"
    output.result({"projects": projects}, words, command.wants_json)
    return 0


def _vaults(home: str) -> Iterator[Vault]:
    for name in store.names(home):
        try:
            yield store.find(home, name)
        except NoSuchProject:  # removed since we listed
            continue


def _fields(vault: Vault, unlocked: bool, deadline: float) -> dict[str, object]:
    size, complete = usage.size(vault.path, max(0.0, deadline - time.monotonic()))
    used = lease.last_used(vault)
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(used)) if used else ""
    state = "unlocked" if unlocked else "locked"
    return {"name": vault.name, "state": state, "size": size, "size_complete": complete, "last_used": shown}


_HEADER = ("PROJECT", "STATE", "SIZE", "LAST USED")


def _row(project: dict[str, object]) -> tuple[str, ...]:
    size = text.human_size(float(str(project["size"]))) + ("" if project["size_complete"] else " or more")
    return str(project["name"]), str(project["state"]), size, str(project["last_used"] or "-")
