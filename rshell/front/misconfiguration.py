"""A login while gateway.toml is wrong. It is refused; the caller learns that, and the audit log the place.

The record goes to the audit log that the configuration names if that much of it can be read, else to the default one;
and to syslog. Of a principal's many refusals in a minute, a few are recorded.
"""

from __future__ import annotations

from gateway.audit.log import AuditLog
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import EncError, Misconfigured
from gateway.identity import authentication
from gateway.limits import rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.names import Principal

_SYSLOG = "/dev/log"
_RECORDED = 30
"""Refusals of a principal in a minute that are recorded one by one."""


def load(path: str, environ: Mapping[str, str]) -> Config:
    """The configuration in the file `path`. If it is wrong, record that for the login of `environ` and raise
    Misconfigured without the details.
    """
    try:
        return loader.load(path)
    except Misconfigured as error:
        record(path, str(error), environ)
        raise Misconfigured("the gateway is misconfigured", "tell your sysadmin to run `enc-gateway doctor`") from error


def record(path: str, where: str, environ: Mapping[str, str]) -> None:
    """Write `where` to the audit log, if possible. It has our own text and names of keys, no input of a caller."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""
    log = AuditLog(loader.audit_path(text), _SYSLOG, required=False)
    try:
        caller = authentication.of_environment(environ)
    except EncError:
        log.write("misconfigured", where=where)
        return
    if _is_recorded(loader.run_path(text), caller.principal, log):
        log.bound(**caller.as_fields()).write("misconfigured", where=where)


def _is_recorded(run: str, principal: Principal, log: AuditLog) -> bool:
    """Count the refusal; whether it has a record of its own. It has if it cannot be counted."""

    def tell(principal: Principal, fields: dict[str, object]) -> None:
        log.bound(principal=principal).write("throttled", **fields)

    try:
        return rates.admit(run, principal, _RECORDED, 0, tell, kind=rates.UNCONFIGURED).is_recorded
    except Misconfigured:
        return True
