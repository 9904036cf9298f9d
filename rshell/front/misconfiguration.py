"""A login while gateway.toml is wrong. It is refused; the caller learns that, and the audit log the place.

The record goes to the audit log that the configuration names if that much of it can be read, else to the default one;
and to syslog.
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
            log = loader.audit_path(file.read())
    except OSError:
        log = schema.DEFAULT_AUDIT
    try:
        caller = authentication.of_environment(environ).as_fields()
    except EncError:
        caller = {}
    AuditLog(log, _SYSLOG, required=False, **caller).write("misconfigured", where=where)
