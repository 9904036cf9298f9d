"""What every command gets: the caller, the configuration and the audit log."""

from __future__ import annotations

import os

from gateway.audit.log import AuditLog
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import CannotCreate, Paused
from gateway.identity import authentication, authorized_keys
from gateway.identity.authentication import Identity
from gateway.identity.names import Named, Principal, ProjectName, SharedName
from gateway.session import cleanup, layout, maintenance, registry
from gateway.session.registry import Session
from gateway.vault import store
from gateway.vault.members import links
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.session.spec import Home


class Context(Record):
    """One request of a caller.

    `label` is the comment of the caller's line in authorized_keys, `request` the id of this request in the audit log,
    `began` its start (CLOCK_BOOTTIME, seconds), `at_prompt` whether the line was typed at our prompt, `terminal` the
    type of the caller's terminal (TERM as the client sent it; "": none).
    """

    config: Config
    caller: Identity
    label: str
    audit: AuditLog
    request: str
    began: float
    at_prompt: bool = False
    terminal: str = ""

    @property
    def vaults_home(self) -> str:
        """The directory of the caller's vaults, which is created if it does not exist."""
        return store.home(self.config.paths_vaults, self.caller.principal)

    def vault(self, project: Named | None) -> Vault:
        """The vault that the caller calls that. Raises NoSuchProject: of what is not shared with the caller, nothing
        is looked at.
        """
        project = required(project)
        if not isinstance(project, SharedName):
            return store.find(self.vaults_home, project)
        vault = Vault(name=project, path=os.path.join(self.vaults_of(project.owner), project.project))
        if not (links.find(self.config.paths_vaults, self.caller.principal, project) and os.path.isdir(vault.path)):
            raise store.no_such_project(project)
        return vault

    def vaults_of(self, owner: Principal) -> str:
        return os.path.join(self.config.paths_vaults, owner.directory)

    def owner_of(self, project: Named | None) -> Principal:
        """Whose it is."""
        return project.owner if isinstance(project, SharedName) else self.caller.principal

    def sharers(self) -> dict[str, Principal]:
        """By the word that a path of theirs begins with, who shares something with the caller."""
        found = links.owners(self.config.paths_vaults, self.caller.principal)
        return {one.word: one for one in found if not os.path.lexists(os.path.join(self.vaults_home, one.word))}

    def require_no_sharer(self, name: ProjectName) -> None:
        """Raise CannotCreate for a project that would be called like somebody of whose projects the caller is a member:
        in a path, nobody could tell them apart. Somebody's invitation alone takes no name away.
        """
        root, member = self.config.paths_vaults, self.caller.principal
        if name in (one.word for one in links.owners(root, member) if links.has_accepted(root, member, one)):
            raise CannotCreate(f"{name} is the name of somebody who shares a project with you", "choose another name")

    def home_of(self, project: Named | None = None, role: str = registry.OWNER, shared: bool = False) -> Home:
        """For a session that is to have the project, or the caller's own."""
        from gateway.session.spec import Home  # most requests start no session

        owner = self.owner_of(project)
        vaults = self.vaults_home if owner == self.caller.principal else self.vaults_of(owner)
        return Home(owner=owner, role=role, shared=shared, vaults=vaults)

    @property
    def pause_error(self) -> Paused | None:
        """The error for new work while the gateway is paused, else None."""
        message = maintenance.message(self.config.paths_pause)
        return None if message is None else maintenance.paused(message)

    @property
    def audit_has_space(self) -> bool:
        """Whether the audit log has space to record the end of what starts now (`audit.reserve`)."""
        return self.config.audit_when_full == "continue" or self.audit.has_room(self.config.audit_reserve << 20)

    @property
    def origin(self) -> str:
        """The caller's address and port, as `sessions` shows them."""
        return f"{self.caller.address}:{self.caller.port}"

    def require_key(self) -> None:
        """Raise Denied if the caller's key is no longer authorized: sshd asks only when the connection is made."""
        path = self.config.paths_authorized_keys
        authentication.require_listed(self.caller, authorized_keys.load_key(path, self.caller.blob))

    def key_checker(self) -> Callable[[], None]:
        """The same for while we wait for the caller: to be called about twice a second
        (gateway.identity.key_status).
        """
        from gateway.identity import key_status

        return key_status.checker(self.config.paths_authorized_keys, self.caller)

    def sessions(self) -> tuple[Session, ...]:
        """The caller's live sessions: those for projects of their own, and what they hold of others. In these, projects
        have the names that the caller has for them. The end of those that died without recording it is recorded now.
        """
        return tuple(one for one in self.all_sessions() if not one.shared or one.is_held_by(self.caller.principal))

    def all_sessions(self) -> tuple[Session, ...]:
        """The same, and those in which only members hold a project of the caller's."""
        required = self.config.audit_when_full == "refuse"  # also if the records of this request are not
        log = AuditLog(self.audit.path, self.audit.syslog, required, request=self.request)
        cleanup.sweep_principal(self.config.paths_run, self.caller.principal, log, "request")
        return (*registry.of_principal(self.config.paths_run, self.caller.principal), *self._held_of_others())

    def held_owners(self) -> tuple[Principal, ...]:
        """Those whose projects the caller holds, or has held. The disk of the vaults is not asked."""
        return tuple(layout.owners(self.config.paths_run, self.caller.principal))

    def _held_of_others(self) -> tuple[Session, ...]:
        me = self.caller.principal
        found = [one for owner in self.held_owners() for one in registry.of_principal(self.config.paths_run, owner)]
        return tuple(one.seen_by(me) for one in found if one.shared and one.is_held_by(me))

    def session_with(self, project: Named) -> Session | None:
        """The session that has the project unlocked, whoever holds it. The caller has shown to be a member."""
        found: Iterable[Session] = self.all_sessions()
        if isinstance(project, SharedName):
            theirs = registry.of_principal(self.config.paths_run, project.owner)
            found = (one.seen_by(self.caller.principal) for one in theirs)
        return next((one for one in found if one.has(project)), None)

    def session_here(self) -> Session | None:
        """The session that a channel of this connection holds and that can have more projects, if there is one."""
        here = registry.of_connection(self.sessions(), self.caller.connection)
        return None if here and here.shared else here


def required(project: Named | None) -> Named:
    """`project`, for a command whose verb takes one: the parser never leaves it out."""
    assert project is not None  # noqa: S101
    return project


def own(project: Named | None) -> ProjectName:
    """The same for a command that is for projects of one's own alone: rshell.front.policy lets no other through."""
    assert isinstance(project, ProjectName)  # noqa: S101
    return project
