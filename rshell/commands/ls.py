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

_FIRST_DAY = 86400.0
"""A file that is older than 1970-01-02 has no time: a copy or a restore has lost it."""
_COUNT_SECONDS = 0.5
"""For counting the sizes of all projects together."""


def run(context: Context, command: Command) -> int:
    """Print each project: locked or unlocked, size on disk, last use."""
    unlocked = {view.project for session in context.sessions() for view in session.views}
    deadline = time.monotonic() + _COUNT_SECONDS
    projects = [_fields(vault, vault.name in unlocked, deadline) for vault in _vaults(context.vaults_home)]
    none = "no projects yet; `new NAME` creates one"
    words = text.columns([_HEADER, *(_row(*project) for project in projects)]) if projects else none
    output.result({"projects": [fields for fields, _ in projects]}, words, command.wants_json)
    return 0


def _vaults(home: str) -> Iterator[Vault]:
    for name in store.names(home):
        try:
            yield store.find(home, name)
        except NoSuchProject:  # removed since we listed
            continue


def _fields(vault: Vault, unlocked: bool, deadline: float) -> tuple[dict[str, object], str]:
    """The project for programs, and when it was last used for the reader."""
    size, complete = usage.size(vault.path, max(0.0, deadline - time.monotonic()))
    used = lease.last_used(vault)
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(used)) if used >= _FIRST_DAY else ""
    state = "unlocked" if unlocked else "locked"
    fields = {"name": vault.name, "state": state, "size": size, "size_complete": complete, "last_used": shown}
    return fields, text.ago(max(0.0, time.time() - used)) if shown and output.is_for_person() else shown or "never"


_HEADER = ("PROJECT", "STATE", "SIZE", "LAST USED")


def _row(project: dict[str, object], used: str) -> tuple[str, ...]:
    size = text.human_size(float(str(project["size"]))) + ("" if project["size_complete"] else " or more")
    return str(project["name"]), str(project["state"]), size, used
