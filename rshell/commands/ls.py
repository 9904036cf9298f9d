"""List the caller's projects."""

from __future__ import annotations

import os
import time

from gateway.base import text
from gateway.base.clock import utc_now
from gateway.base.records import Record
from gateway.cluster import mirror, places
from gateway.errors import Busy, Misconfigured, is_storage_lost, of_storage
from gateway.identity.names import Named, in_vault
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
    from collections.abc import Callable, Iterator

_FIRST_DAY = 86400.0
"""A file that is older than 1970-01-02 has no time: a copy or a restore has lost it."""
_COUNT_SECONDS = 0.5
"""For counting the sizes of all projects together."""
_ANSWER_SECONDS = 3.0
"""For all looks at a disk that other hosts share."""


class _Look(Record):
    """A project of the caller's, or one that is shared with them, as its vault shows it: size in bytes, and None for
    somebody else's or what was not counted; when it was last used (seconds since the epoch, 0.0: not known). `is_free`:
    nobody has it, whatever a host said that is silent now.
    """

    name: Named
    role: str
    invited_until: str
    size: int | None = None
    complete: bool = False
    used: float = 0.0
    is_free: bool = False


def run(context: Context, command: Command) -> int:
    """Print each project: locked or unlocked, size on disk, last use."""
    unlocked = {view.project: "" for session in context.all_sessions() for view in session.views}
    for seen, session in mirror.sessions(context.config, context.caller.principal):
        unlocked = {view.project: str(seen.record.host) for view in session.views} | unlocked
    looks = _within(context) if places.is_cluster(context.config) else _looks(context, _all(context))
    projects = [_fields(one, unlocked) for one in {look.name: look for look in looks}.values()]
    none = "no projects yet; `new NAME` creates one"
    is_alone = all(fields["role"] == registry.OWNER for fields, _ in projects)
    rows = [_HEADER, *(_row(*project) for project in projects)]
    words = text.columns([row[:-1] if is_alone else row for row in rows]) if projects else none
    output.result({"projects": [fields for fields, _ in projects]}, words, command.wants_json)
    return 0


def _within(context: Context) -> list[_Look]:
    """The looks that a disk which several hosts share allows in time. What a dead host had may not be given free yet:
    then the name alone is known. Raises Busy when not even the names are, Misconfigured when the
    disk is lost.
    """
    from gateway.base import codec, process  # 2 ms, which a host that is alone does without

    def look(tell: Callable[[bytes], object]) -> None:
        try:
            for one in _names_first(context):
                tell(codec.dumps(one).encode() + b"\n")
        except (Misconfigured, OSError) as error:
            fault = error if isinstance(error, OSError) else error.__cause__
            if isinstance(fault, OSError) and is_storage_lost(fault):
                tell(f"{fault.errno}\n".encode())
            raise

    told, has_ended = process.told_within(look, _ANSWER_SECONDS)
    lines = told[: told.rfind(b"\n") + 1].splitlines()
    if lines and lines[-1].isdigit():
        number = int(lines[-1])
        raise of_storage(OSError(number, os.strerror(number)))
    if not (has_ended or lines):
        raise Busy("the disk of the gateway's vaults does not answer", "try again; `status` shows what is unlocked")
    return [codec.loads(_Look, line, registry.NAMES) for line in lines]


def _names_first(context: Context) -> Iterator[_Look]:
    """All names, and then again what can be seen of each: last what a silent host has."""
    found = _all(context)
    yield from found
    theirs = mirror.sessions(context.config, context.caller.principal)
    silent = {view.project for seen, session in theirs if mirror.is_silent(seen) for view in session.views}
    for one in _looks(context, sorted(found, key=lambda one: one.name in silent)):
        is_free = one.name in silent and not lease.is_held(Vault(name=one.name, path=_path(context, one.name)))
        yield one.replace(is_free=is_free)


def _all(context: Context) -> list[_Look]:
    own = [_Look(name=name, role=registry.OWNER, invited_until="") for name in store.names(context.vaults_home)]
    return own + [_Look(name=one.name, role=one.role, invited_until=one.invited_until) for one in _links(context)]


def _looks(context: Context, found: list[_Look]) -> Iterator[_Look]:
    """Those that are there, with what can be seen of them."""
    deadline = time.monotonic() + _COUNT_SECONDS
    for one in found:
        vault = Vault(name=one.name, path=_path(context, one.name))
        if one.role != registry.OWNER:
            yield one.replace(used=lease.last_used(vault))
        elif os.path.isdir(vault.path):  # else it was removed since we listed, or is a link to nothing
            size, complete = usage.size(vault.path, max(0.0, deadline - time.monotonic()))
            yield one.replace(size=size, complete=complete, used=lease.last_used(vault))


def _links(context: Context) -> list[links.Link]:
    """What is shared with the caller, and is there. Nobody's slots are read for it."""
    found = links.of(context.config.paths_vaults, context.caller.principal)
    still_good = (link for link in found if not link.invited_until or link.invited_until > utc_now())
    return [link for link in still_good if os.path.isdir(_path(context, link.name))]


def _path(context: Context, name: Named) -> str:
    return os.path.join(context.vaults_of(context.owner_of(name)), in_vault(name))


def _fields(one: _Look, unlocked: dict[Named, str]) -> tuple[dict[str, object], str]:
    """The project for programs, and when it was last used for the reader. `unlocked` has the host of what is, "" for
    this one.
    """
    host = unlocked.get(one.name)
    host = None if host and one.is_free else host
    state = "invited" if one.invited_until else "locked" if host is None else "unlocked"
    shown, used = _last_used(one.used)
    fields = {"name": one.name, "state": state, "size": one.size, "size_complete": one.complete, "last_used": shown}
    where = {"host": host} if host else {}
    until = {"invited_until": one.invited_until} if one.invited_until else {}
    return {**fields, "role": one.role, **where, **until}, used


def _last_used(used: float) -> tuple[str, str]:
    """For programs, and for the reader."""
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(used)) if used >= _FIRST_DAY else ""
    return shown, text.ago(max(0.0, time.time() - used)) if shown and output.is_for_person() else shown or "never"


_HEADER = ("PROJECT", "STATE", "SIZE", "LAST USED", "ROLE")


def _row(project: dict[str, object], used: str) -> tuple[str, ...]:
    role, state = str(project["role"]), str(project["state"])
    if "host" in project:
        state += f" on {project['host']}"
    if project["size"] is None:
        return str(project["name"]), state, "-", used, role
    size = text.human_size(float(str(project["size"]))) + ("" if project["size_complete"] else " or more")
    return str(project["name"]), state, size, used, role
