"""One holder of a session, whatever its channel is, and which holder somebody who acts in the session belongs to."""

from __future__ import annotations

from gateway.audit.reasons import REASONS
from gateway.base.clock import utc_now
from gateway.base.records import Record
from gateway.errors import NotUnlocked
from gateway.identity.names import Principal, ProjectName, named_by
from gateway.session import registry
from gateway.warden.activity import SESSION as EVERYWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from gateway.warden.messages import Messages
    from gateway.warden.programs.programs import Program, Programs

SESSION = "session"
"""The kind of holder that was opened to hold the session, whatever is unlocked in it (`session`)."""
MOUNT = "mount"
"""The kind of holder that leaves with the last of its projects; others stay."""


class Who(Record):
    """A key that acts: whose it is, in which role, and from which connection (`origin` is its address and port)."""

    principal: Principal
    role: str
    fingerprint: str
    blob: str
    origin: str
    connection: str

    @property
    def address(self) -> str:
        return self.origin.rpartition(":")[0]

    @property
    def port(self) -> int:
        port = self.origin.rpartition(":")[2]
        return int(port) if port.isdecimal() else 0

    def audit_fields(self) -> dict[str, object]:
        return {
            "principal": self.principal,
            "role": self.role,
            "fingerprint": self.fingerprint,
            "address": self.address,
            "port": self.port,
        }


class Holder:
    """`name` is unlike any project's. `projects` are the views that it keeps. `say` is its channel.

    A subclass is a kind of channel: `end` gives it its exit status and lets go of it, `used` is told that the holder
    was active.
    """

    def __init__(self, name: str, who: Who, kind: str, say: Messages, via: str = "") -> None:
        self.name = name
        self.who = who
        self.kind = kind
        self.say = say
        self.via = via
        self.since = utc_now()
        self.projects: set[ProjectName] = set()

    def end(self, status: int) -> None:
        """Called once."""

    def closed(self, reason: str) -> None:
        """Tell why it does not hold the session any more, if that is what it is here for."""
        if self.kind == SESSION:
            self.say.closed(reason)

    def used(self) -> None:
        """Called often."""

    def record(self) -> registry.Holder:
        """What the session shows of it."""
        return registry.Holder(
            principal=self.who.principal,
            role=self.who.role,
            fingerprint=self.who.fingerprint,
            address=self.who.address,
            port=self.who.port,
            connection=self.who.connection,
            kind=self.kind,
            since=self.since,
            via=self.via,
            projects=tuple(sorted(self.projects)),
        )


def belonging(origin: str, blob: str, holders: Collection[Holder]) -> list[Holder]:
    """Those of `holders` that somebody belongs to who acts by the key `blob` from `origin`: that of the connection,
    else those of the same key at the same address, else those of the key, else none. It goes on while one of them is
    there: of two machines behind one address that share a key, nobody can tell which of them it is.
    """
    address = origin.rpartition(":")[0]
    by_key = [one for one in holders if blob and one.who.blob == blob]
    return (
        [one for one in holders if one.who.origin == origin]
        or [one for one in by_key if one.who.address == address]
        or by_key
    )


def own_programs(running: Mapping[int, Program], holder: Holder, holders: Collection[Holder]) -> set[int]:
    """The programs (by pid) that end with `holder`: they belong to it and to no other of `holders`, or to no holder of
    its principal, of which it is the last.
    """
    is_last = not any(one is not holder and one.who.principal == holder.who.principal for one in holders)
    return {
        pid
        for pid, program in running.items()
        if belonging(program.origin, program.blob, holders) == [holder]
        or (is_last and program.principal == holder.who.principal)
    }


def end_programs(
    programs: Programs, holder: Holder, holders: Collection[Holder], reason: str, project: str = EVERYWHERE
) -> None:
    """End those that are the holder's alone; with `project`, those that `run` or `shell` started in that."""
    running = programs.running()
    chosen = {pid for pid in own_programs(running, holder, holders) if project in (EVERYWHERE, running[pid].view)}
    if chosen:
        words = REASONS[reason].user
        programs.end(chosen, NotUnlocked(f"the program was stopped: {words}"), float(programs.grace))


def others(held: Iterable[Holder]) -> list[dict[str, object]]:
    """What somebody who left is told of those who stay."""
    shown = ("principal", "fingerprint", "address", "since")
    return [{name: getattr(one.record(), name) for name in shown} for one in held]


def names_of(principal: Principal, owner: Principal) -> Callable[[str], str]:
    """What `principal` calls a project of `owner`; "" stays what it is."""
    return lambda project: str(named_by(principal, owner, ProjectName(project))) if project else ""
