"""What every command gets: who asks, by which configuration, and where it is recorded."""

from __future__ import annotations

from gateway.audit.log import AuditLog
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import Paused
from gateway.identity.authentication import Identity
from gateway.identity.names import ProjectName
from gateway.session import maintenance, registry
from gateway.session.registry import Session
from gateway.vault import store
from gateway.vault.store import Vault


class Context(Record):
    """`label` is the comment of the caller's key line; `request` the id under which the audit has this request;
    `began` its start (CLOCK_BOOTTIME, seconds); `at_prompt` whether a person typed the line at our prompt; `terminal`
    the type of the caller's terminal as the client names it, "" for none.
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
        return store.home(self.config.paths_vaults, self.caller.principal)

    def vault(self, project: ProjectName | None) -> Vault:
        """The caller's vault of that name. Raises NoSuchProject."""
        return store.find(self.vaults_home, required(project))

    @property
    def pause(self) -> Paused | None:
        """The refusal of what would begin, while the sysadmin has the gateway paused."""
        said = maintenance.message(self.config.paths_pause)
        return None if said is None else maintenance.paused(said)

    @property
    def has_room(self) -> bool:
        """Whether the audit can take the end of what begins now."""
        return self.config.audit_when_full == "continue" or self.audit.has_room(self.config.audit_reserve << 20)

    @property
    def origin(self) -> str:
        """Where the caller is, as sessions show it."""
        return f"{self.caller.address}:{self.caller.port}"

    def live(self) -> tuple[Session, ...]:
        """The caller's live sessions."""
        return registry.of_principal(self.config.paths_run, self.caller.principal)

    def session_here(self) -> Session | None:
        """The session anchored on this connection."""
        return registry.of_connection(self.live(), self.caller.connection)


def required(project: ProjectName | None) -> ProjectName:
    """The project of a command whose verb takes one: the grammar has seen to it."""
    assert project is not None  # noqa: S101
    return project
