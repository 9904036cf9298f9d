"""What every command gets: the caller, the configuration and the audit log."""

from __future__ import annotations

import os

from gateway.audit.log import AuditLog
from gateway.base.records import Record
from gateway.cluster import mirror, places
from gateway.config.schema import Config
from gateway.errors import CannotCreate, Elsewhere, EncError, NotUnlocked, Paused
from gateway.identity import authentication, authorized_keys
from gateway.identity.authentication import Identity
from gateway.identity.names import Named, Principal, ProjectName, SharedName, in_vault
from gateway.session import cleanup, layout, registry
from gateway.session.registry import Session
from gateway.vault import store
from gateway.vault.members import links
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.session.spec import Home
    from gateway.vault.lease import LeaseHolder

_LOOK_SECONDS = 2.0
"""For a look at the lock of a vault that another host of the cluster has, or at its name: if it died, its files are not
free yet.
"""


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
        if not (links.find(self.config.paths_vaults, self.caller.principal, project) and store.is_there(vault)):
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

    def halt(self, project: Named | None = None) -> EncError | None:
        """The error for all that begins, also with `project`, while the gateway is paused, this host drained, or the
        disk of a cluster silent; else None.
        """
        try:
            mirror.require_running(self.config, self.caller.principal, project)
        except Elsewhere as error:
            if project and any(one.has(project) for one in self.sessions()):
                return Paused(f"{project} is unlocked here, and {error}", f"`unmount {project}`, and connect again")
            return error
        except EncError as error:
            return error
        return None

    def require_running(self) -> None:
        """Raise what `halt` is: for those who were let in before it and then took their time."""
        mirror.require_running(self.config, self.caller.principal)

    def shared_state(self) -> str:
        """The directory of what counts for the caller's principal on all hosts together (gateway.cluster.places), whose
        files answer. In a cluster they may not while a dead host has them: the caller is told then. Raises Busy, and
        what `require_key` and `require_running` raise after such a wait.
        """
        state = places.state(self.config)
        if places.is_cluster(self.config):
            from gateway.limits import shared_files  # a host that is alone does without
            from rshell.terminal import output

            if shared_files.wait(state, self.caller.principal, output.note):
                self.require_key()
                self.require_running()
        return state

    def lease_holder(self, word: str) -> LeaseHolder:
        """For a vault that this request holds, as a command's `word`."""
        from gateway.base.clock import utc_now
        from gateway.vault.lease import LeaseHolder

        return LeaseHolder(session=word, since=utc_now(), address=self.caller.address, host=self.config.cluster_host)

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

    def require_session(self, project: Named) -> Session:
        """The session here that has the project unlocked and that the caller may use. Raises NotUnlocked,
        NoSuchProject, and as `require_here`. The disk of the vaults is not asked for a project that is unlocked: it may
        not answer.
        """
        try:
            return registry.with_project(self.all_sessions(), project)
        except NotUnlocked:
            self.require_here(project)
            self.vault(project)
            raise

    def require_here(self, project: Named) -> None:
        """Raise Elsewhere or Busy when another host of the cluster has the project (gateway.cluster.mirror): before a
        secret is asked for, and before its vault is looked at, whose disk may wait for that host. Raises NoSuchProject
        for one that is not shared with the caller.
        """
        if not places.is_cluster(self.config):
            return
        if isinstance(project, SharedName):
            self.vault(project)
        owner, name = self.owner_of(project), in_vault(project)
        from gateway.base import process  # a host that is alone does without
        from gateway.vault import lease

        vault = Vault(name=name, path=os.path.join(self.vaults_of(owner), name))

        def is_held() -> bool:
            """Whether somebody has the vault's lock, or nobody can tell."""
            return process.ask(lambda: b"held" if lease.is_held(vault) else b"", _LOOK_SECONDS) != b""

        def holder() -> str:
            return (process.ask(lambda: lease.host(vault).encode(), _LOOK_SECONDS) or b"").decode()

        mirror.require_here(self.config, owner, name, project, is_held, holder)

    def session_of_channel(self, mine: tuple[Session, ...] | None = None) -> Session:
        """The session of `mine` (None: of all) that this channel means without naming a project. Raises NotUnlocked,
        Busy, and Elsewhere for a caller who has one on another host alone.
        """
        try:
            return registry.find(self.sessions() if mine is None else mine, self.caller.connection)
        except NotUnlocked:
            for seen, session in mirror.sessions(self.config, self.caller.principal):
                if session.is_held_by(self.caller.principal) and not mirror.is_silent(seen):
                    raise mirror.elsewhere(f"your session is on {seen.record.host}", seen) from None
            raise

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
