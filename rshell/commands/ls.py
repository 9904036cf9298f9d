"""The caller's projects."""

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

_COUNTING = 0.5
"""Seconds for counting the sizes of all projects together."""


def run(context: Context, command: Command) -> int:
    """Print each project: locked or unlocked, size on disk, last used."""
    unlocked = {view.project for session in context.live() for view in session.views}
    deadline = time.monotonic() + _COUNTING
    projects = [_about(vault, vault.name in unlocked, deadline) for vault in _found(context.vaults_home)]
    words = text.columns([_HEADER, *map(_row, projects)]) if projects else "no projects yet; `new NAME` creates one"
    output.result({"projects": projects}, words, command.wants_json)
    return 0


def _found(home: str) -> Iterator[Vault]:
    for name in store.names(home):
        try:
            yield store.find(home, name)
        except NoSuchProject:  # removed since we listed
            continue


def _about(vault: Vault, unlocked: bool, deadline: float) -> dict[str, object]:
    size, complete = usage.size(vault.path, max(0.0, deadline - time.monotonic()))
    used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(lease.last_used(vault)))
    state = "unlocked" if unlocked else "locked"
    return {"name": vault.name, "state": state, "size": size, "size_complete": complete, "last_used": used}


_HEADER = ("PROJECT", "STATE", "SIZE", "LAST USED")


def _row(project: dict[str, object]) -> tuple[str, ...]:
    size = _human(project["size"]) + ("" if project["size_complete"] else " or more")
    return str(project["name"]), str(project["state"]), size, str(project["last_used"])


def _human(size: object) -> str:
    number = float(str(size))
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
