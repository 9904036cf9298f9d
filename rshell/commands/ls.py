"""List the caller's projects."""

from __future__ import annotations

import os
import time

from gateway.base import text
from gateway.base.clock import utc_now
from gateway.errors import NoSuchProject
from gateway.limits.disk import usage
from gateway.session import registry
from gateway.vault import lease, store
from gateway.vault.members import links
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
    unlocked = {view.project for session in context.all_sessions() for view in session.views}
    deadline = time.monotonic() + _COUNT_SECONDS
    projects = [_fields(vault, vault.name in unlocked, deadline) for vault in _vaults(context.vaults_home)]
    projects += [_shared_fields(context, link, link.name in unlocked) for link in _links(context)]
    none = "no projects yet; `new NAME` creates one"
    is_alone = all(fields["role"] == registry.OWNER for fields, _ in projects)
    rows = [_HEADER, *(_row(*project) for project in projects)]
    words = text.columns([row[:-1] if is_alone else row for row in rows]) if projects else none
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
    state = "unlocked" if unlocked else "locked"
    shown, used = _last_used(vault)
    fields = {"name": vault.name, "state": state, "size": size, "size_complete": complete, "last_used": shown}
    return {**fields, "role": registry.OWNER}, used


def _links(context: Context) -> list[links.Link]:
    """What is shared with the caller, and is there. Nobody's slots are read for it."""
    found = links.of(context.config.paths_vaults, context.caller.principal)
    still_good = (link for link in found if not link.invited_until or link.invited_until > utc_now())
    return [link for link in still_good if os.path.isdir(_of_owner(context, link).path)]


def _of_owner(context: Context, link: links.Link) -> Vault:
    return Vault(name=link.name, path=os.path.join(context.vaults_of(link.name.owner), link.name.project))


def _shared_fields(context: Context, link: links.Link, unlocked: bool) -> tuple[dict[str, object], str]:
    """The same of somebody else's: its size is theirs."""
    state = "invited" if link.invited_until else "unlocked" if unlocked else "locked"
    shown, used = _last_used(_of_owner(context, link))
    fields = {"name": link.name, "state": state, "size": None, "size_complete": False, "last_used": shown}
    until = {"invited_until": link.invited_until} if link.invited_until else {}
    return {**fields, "role": link.role, **until}, used


def _last_used(vault: Vault) -> tuple[str, str]:
    """For programs, and for the reader."""
    used = lease.last_used(vault)
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(used)) if used >= _FIRST_DAY else ""
    return shown, text.ago(max(0.0, time.time() - used)) if shown and output.is_for_person() else shown or "never"


_HEADER = ("PROJECT", "STATE", "SIZE", "LAST USED", "ROLE")


def _row(project: dict[str, object], used: str) -> tuple[str, ...]:
    role = str(project["role"])
    if project["size"] is None:
        return str(project["name"]), str(project["state"]), "-", used, role
    size = text.human_size(float(str(project["size"]))) + ("" if project["size_complete"] else " or more")
    return str(project["name"]), str(project["state"]), size, used, role
