"""`enrol`: the only command of a key that is an invitation. It hands in one public key, once (docs/protocol.md).

Such a caller gets no Context, so no command of the table can run for them.
"""

from __future__ import annotations

import os

from gateway import errors
from gateway.audit.log import AuditLog
from gateway.base.clock import boottime, milliseconds_since, utc_now
from gateway.cluster import mirror
from gateway.identity import authentication, authorized_keys, enrolment, key_status
from gateway.limits import rates
from gateway.vault import realm as realms
from rshell.front import throttle
from rshell.language import grammar
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config
    from gateway.identity.authentication import Invitation

VERB = "enrol"
_MAX_LABEL = 80


def answer(config: Config, caller: Invitation, line: str | None) -> int:
    """Authorize, record and carry out `line`; return the exit status. Raises Misconfigured if it cannot be recorded."""
    began = boottime()
    log = AuditLog(config.paths_audit, config.audit_syslog, config.audit_when_full == "refuse")
    log = log.bound(**caller.as_fields(), request=os.urandom(6).hex())
    as_json = "--json" in (line or "").split()
    log, excess = throttle.rule(config, log, caller, kind=rates.INVITED)
    try:
        if excess:
            raise excess
        authorize(config, caller, line)
        log.write("request", decision="allow", reason="invited", verb=VERB)
    except errors.EncError as error:
        log.write("request", decision="deny", reason=error.slug)
        status = _fail(error, as_json)
    else:
        try:
            status = _hand_in(config, caller, log, as_json)
        except errors.EncError as error:
            status = _fail(error, as_json)
    log.write("result", status=status, took_ms=milliseconds_since(began))
    return status


def authorize(config: Config, caller: Invitation, line: str | None) -> None:
    """Raise Denied if the invitation is gone, NotAllowedHere for any other command, Paused while paused."""
    authentication.require_listed(caller, authorized_keys.load_key(config.paths_authorized_keys, caller.blob))
    try:
        words = grammar.split(line or "")
    except grammar.Refused:
        words = ()
    if words[:1] != (VERB,) or not set(words[1:]) <= {"--json"}:
        raise errors.NotAllowedHere(
            "this key is an invitation: it can only hand in a key",
            "run: ssh -i THIS_KEY gateway enrol < YOUR_KEY.pub",
        )
    mirror.require_running(config)


def _hand_in(config: Config, caller: Invitation, log: AuditLog, as_json: bool) -> int:
    realm = realms.of(config.paths_vaults)  # before the invitation is used up
    key = enrolment.parse_key(questions.line("", key_status.checker(config.paths_authorized_keys, caller)))
    handed_in = enrolment.PendingKey(
        invite=caller.fingerprint,
        key_type=key.key_type,
        blob=key.blob,
        label=grammar.printable(key.label, _MAX_LABEL) if key.label else "",
        address=caller.address,
        time=utc_now(),
    )
    enrolment.submit(config.paths_enrolments, handed_in)
    log.write("enrolled", key=handed_in.fingerprint)
    fields = {"enrolled": True, "principal": caller.principal, "fingerprint": handed_in.fingerprint}
    fields["realm"] = realm
    words = (
        f"handed in {handed_in.fingerprint} for {caller.principal}\n"
        "Your sysadmin must approve it: read this fingerprint to them."
    )
    output.result(fields, words, as_json)
    return 0


def _fail(error: errors.EncError, as_json: bool) -> int:
    output.failure(error, as_json)
    return error.code
