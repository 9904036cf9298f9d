"""What every command gets: the caller, the configuration and the audit log."""

from __future__ import annotations

from gateway.audit.log import AuditLog
from gateway.base.records import Record
from gateway.config.schema import Config
from gateway.errors import Paused
from gateway.identity import authentication, authorized_keys
from gateway.identity.authentication import Identity
from gateway.identity.names import ProjectName
from gateway.session import cleanup, maintenance, registry
from gateway.session.registry import Session
from gateway.vault import store
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


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

    def vault(self, project: ProjectName | None) -> Vault:
        """The caller's vault of that name. Raises NoSuchProject."""
        return store.find(self.vaults_home, required(project))

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
        """The caller's live sessions. The end of those that died without recording it is recorded now."""
        required = self.config.audit_when_full == "refuse"  # also if the records of this request are not
        log = AuditLog(self.audit.path, self.audit.syslog, required, request=self.request)
        cleanup.sweep_principal(self.config.paths_run, self.caller.principal, log, "request")
        return registry.of_principal(self.config.paths_run, self.caller.principal)

    def session_here(self) -> Session | None:
        """The session that a channel of this connection holds, if there is one."""
        return registry.of_connection(self.sessions(), self.caller.connection)


def required(project: ProjectName | None) -> ProjectName:
    """`project`, for a command whose verb takes one: the parser never leaves it out."""
    assert project is not None  # noqa: S101
    return project
