"""A login while gateway.toml is wrong. It is refused; the caller learns that, and the audit log the place. Only what
ends or shows sessions is carried out, by what can be used of the file: a wrong file must keep no project unlocked.

The record goes to the audit log that the configuration names if that much of it can be used, else to the default one;
and to syslog. Of a principal's many refusals in a minute, a few are recorded.
"""

from __future__ import annotations

from gateway.audit.log import AuditLog
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import EncError, Misconfigured
from gateway.identity import authentication
from gateway.limits import rates
from rshell.language import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.names import Principal

_SYSLOG = "/dev/log"
_RECORDED = 30
"""Refusals of a principal in a minute that are recorded one by one."""


def load(path: str, environ: Mapping[str, str], line: str | None) -> Config:
    """The configuration in the file `path`. If it is wrong, record that for the login of `environ`, and raise
    Misconfigured without the details; for a `line` that ends or shows sessions, return what can be used of it. Where
    they are has to be known for that: "nothing is unlocked" would not be true.
    """
    settings, error = loader.load_usable(path)
    if error is None:
        return settings
    record(settings, str(error), environ)
    if _always_passes(line) and "paths.run" not in loader.lost_places(path):
        return settings
    raise Misconfigured("the gateway is misconfigured", "tell your sysadmin to run `enc-gateway doctor`") from error


def _always_passes(line: str | None) -> bool:
    try:
        return line is not None and command.parse(line).verb.always_passes
    except EncError:
        return False


def record(settings: Config, where: str, environ: Mapping[str, str]) -> None:
    """Write `where` to the audit log, if possible. It has our own text and names of keys, no input of a caller."""
    log = AuditLog(settings.paths_audit, _SYSLOG, required=False)
    try:
        caller = authentication.of_environment(environ)
    except EncError:
        log.write("misconfigured", where=where)
        return
    if _is_recorded(settings.paths_run, caller.principal, log):
        log.bound(**caller.as_fields()).write("misconfigured", where=where)


def _is_recorded(run: str, principal: Principal, log: AuditLog) -> bool:
    """Count the refusal; whether it has a record of its own. It has if it cannot be counted."""

    def tell(principal: Principal, fields: dict[str, object]) -> None:
        log.bound(principal=principal).write("throttled", **fields)

    try:
        return rates.admit(run, principal, _RECORDED, 0, tell, kind=rates.UNCONFIGURED).is_recorded
    except Misconfigured:
        return True
