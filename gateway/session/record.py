"""The record of a session, as it shows itself to the world, and as others read it: from a stranger."""

from __future__ import annotations

from gateway.base.records import Record
from gateway.identity.names import Named, Principal, ProjectName, SessionId, SlotName, in_vault, named, named_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.codec import Shown, Words


def _principal(text: str) -> Principal:
    return Principal.of_fingerprint(text) if text.startswith("SHA256:") else Principal.of(text)


NAMES: Words = {
    "Principal": _principal,
    "ProjectName": ProjectName.of,
    "Named": named,
    "SlotName": SlotName.of,
    "SessionId": SessionId.of,
}
"""How the names in what sessions write and are told are checked when it is read."""


class View(Record):
    """An unlocked project in a session."""

    project: Named
    since: Shown


class Holder(Record):
    """Who keeps a session alive, and of its views `projects`: a channel that one key opened, with the command `kind`.

    `via` is the session of the same person's that keeps the hold, "" for a channel of its own; then no channel of the
    connection means this session.
    """

    principal: Principal
    role: Shown
    fingerprint: Shown
    address: Shown
    port: int
    connection: Shown
    kind: Shown
    since: Shown
    via: Shown
    projects: tuple[Named, ...]

    @property
    def origin(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def who(self) -> str:
        """For people."""
        return f"{self.principal} from {self.address} with key {self.fingerprint} since {self.since}"


OWNER, WRITER, READER = "owner", "writer", "reader"
"""Roles of holders, as gateway.vault.slots.stored.Role has them."""

HAS_HOLDERS, HAS_MEMBERS, HAS_WORKSPACES = 2, 3, 4
PROTOCOL = HAS_WORKSPACES
"""What a session of this version understands (gateway.session.protocol). One that says nothing of it has 1: it has one
holder, who cannot be joined. Before HAS_MEMBERS, all holders are one principal's.
"""
_ADDED = {"protocol": 1, "holders": [], "shared": False}
"""Fields of a record that a session of an older gateway does not write, and what they are then."""


class Session(Record):
    """`anchor` is the command that holds it; `pid` is the warden's, as the host sees it; times are UTC, RFC 3339. Of
    several `holders`, what is told of one is told of the one that is there longest. `principal` is whose projects it
    has. A `shared` one has a single project, which has members, and holders of several principals.
    """

    id: SessionId
    principal: Principal
    fingerprint: Shown
    address: Shown
    port: int
    connection: Shown
    anchor: Shown
    since: Shown
    pid: int
    views: tuple[View, ...] = ()
    protocol: int = PROTOCOL
    holders: tuple[Holder, ...] = ()
    shared: bool = False

    def dump(self) -> str:
        from gateway.base import codec

        return codec.dumps(self)

    def has(self, project: Named) -> bool:
        return any(view.project == project for view in self.views)

    def is_held_by(self, principal: Principal) -> bool:
        """One without holders in its record is of an older gateway."""
        return any(one.principal == principal for one in self.holders) or not (self.holders or self.shared)

    def seen_by(self, principal: Principal) -> Session:
        """The same with the names that `principal` has for the projects in it."""
        if principal == self.principal:
            return self

        def theirs(project: Named) -> Named:
            return named_by(principal, self.principal, in_vault(project))

        holders = (one.replace(projects=tuple(map(theirs, one.projects))) for one in self.holders)
        views = tuple(one.replace(project=theirs(one.project)) for one in self.views)
        return self.replace(views=views, holders=tuple(holders))

    def role_of(self, principal: Principal) -> str:
        """ "" for one who does not hold it."""
        return next((one.role for one in self.holders if one.principal == principal), "")

    def is_held_on(self, connection: str, project: Named) -> bool:
        """Whether a channel of that connection holds the project in it, by whatever session."""
        return any(one.connection == connection and project in one.projects for one in self.holders)

    @property
    def principals(self) -> list[str]:
        """Who holds it, who is there longest first: in a shared one, not always the project's owner."""
        return [one.principal for one in self.holders] if self.shared else [self.principal]

    @property
    def keys(self) -> set[str]:
        """The fingerprints of all who hold it."""
        return {one.fingerprint for one in self.holders} or {self.fingerprint}

    def kind_on(self, connection: str) -> str:
        """The command by which a channel of that connection holds it; "" for none."""
        found = [one.kind for one in self.holders if one.connection == connection and not one.via]
        return found[0] if found else self.anchor if self.is_anchored_on(connection) else ""

    def is_anchored_on(self, connection: str) -> bool:
        """Whether a channel of that connection holds it."""
        own = [one.connection for one in self.holders if not one.via] if self.holders else [self.connection]
        return connection in own


def load(text: str | bytes) -> Session:
    """The session in a record. Raises ValueError for anything but what `dump` made, or made before there was `_ADDED`.
    Of what a newer version may have added we know nothing.
    """
    from gateway.base import codec  # most requests find no session: 0.2 ms

    return codec.loads(Session, text, {**NAMES, "View": View, "Holder": Holder}, _adapted)


def _adapted(values: object) -> object:
    if not isinstance(values, dict):
        return values
    values = {**_ADDED, **values}
    newer = values["protocol"]
    if type(newer) is int and newer > PROTOCOL:
        return {name: value for name, value in values.items() if name in Session._fields}
    return values
