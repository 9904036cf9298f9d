"""A login under a configuration that is wrong: the caller learns that it is, the audit where.

Nothing is let in, and nothing fails silently: the place is written to the audit that the configuration names, as far
as it can be read, else to the usual one; and to syslog.
"""

from __future__ import annotations

from gateway.audit.log import AuditLog
from gateway.config import loader, schema
from gateway.config.schema import Config
from gateway.errors import EncError, Misconfigured
from gateway.identity import authentication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSLOG = "/dev/log"


def load(path: str, environ: Mapping[str, str]) -> Config:
    """The configuration in the file `path`, for the login of `environ`. Raises Misconfigured, without the details."""
    try:
        return loader.load(path)
    except Misconfigured as error:
        record(path, str(error), environ)
        hint = "tell your sysadmin: `enc-gateway doctor` says where"
        raise Misconfigured("the gateway is misconfigured", hint) from error


def record(path: str, where: str, environ: Mapping[str, str]) -> None:
    """Write `where` to the audit, as well as it goes. Our own words, with names of keys: nothing of a caller's."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            log = loader.audit_path(file.read())
    except OSError:
        log = schema.DEFAULT_AUDIT
    try:
        about = authentication.of_environment(environ).as_fields()
    except EncError:
        about = {}
    AuditLog(log, _SYSLOG, required=False, **about).write("misconfigured", where=where)
