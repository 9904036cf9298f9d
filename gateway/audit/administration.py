"""What a sysadmin does is recorded too, with who that is by their login on this host."""

from __future__ import annotations

import pwd

from gateway.audit.log import AuditLog
from gateway.base import privileges
from gateway.config.schema import Config

_UNSET = 0xFFFFFFFF


def record(config: Config, event: str, required: bool = True, **fields: object) -> None:
    """Write to the audit, as the account that has it. Raises Misconfigured when that fails, if it is `required`."""
    with privileges.account(*privileges.owner(config.paths_vaults)):
        AuditLog(config.paths_audit, config.audit_syslog, required, by=_login()).write(event, **fields)


def _login() -> str:
    """The account that logged in to this host, also behind sudo (proc(5), loginuid); else ours."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            uid = int(file.read())
    except (OSError, ValueError):
        uid = _UNSET
    uid = privileges.invoker() if uid == _UNSET else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
