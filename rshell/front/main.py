"""The front door: identify the caller, parse the line, authorize it, record it, carry it out, report."""

from __future__ import annotations

import errno
import os

from gateway import errors
from gateway.audit.log import AuditLog
from gateway.base import rlimits, signals
from gateway.base.clock import boottime, milliseconds_since
from gateway.base.signals import SignalsBlocked
from gateway.identity import authentication, authorized_keys
from gateway.limits import rates
from rshell.context import Context
from rshell.front import misconfiguration, policy, refusal, throttle
from rshell.language import command, verbs
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config
    from rshell.language.command import Command

_HOST = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
"""What a system call says when the host is out of something, or a disk does not work."""

_CLIENT = "enc "
_MAX_DESCRIPTORS = 1 << 16
"""More than sshd could have left open. All of them but 0, 1 and 2 are closed."""


def main(config_path: str) -> int:
    """Serve one SSH channel by the configuration file `config_path`, and return the exit status. Raises Interrupted."""
    environ = dict(os.environ)
    os.environ.clear()
    os.umask(0o077)
    os.closerange(3, _MAX_DESCRIPTORS)
    rlimits.impose()
    line = _without_client(environ.get("SSH_ORIGINAL_COMMAND"))
    as_json = wants_json(line)
    try:
        signals.unblock()
        settings = misconfiguration.load(config_path, environ, line)
        caller = authentication.of_environment(environ)
        if isinstance(caller, authentication.Invitation):
            from rshell.front import enrol

            return enrol.answer(settings, caller, line)
        return answer(identify(settings, caller, environ.get("TERM", "")), line)
    except errors.EncError as error:
        refusal.tell(error, _words(line), as_json)
        return error.code
    except Exception as fault:  # before there is a context, or from the audit log itself: it cannot be recorded
        where = " at ".join(errors.fault_fields(fault).values())
        output.failure(errors.Internal(f"internal error of the gateway ({where})", "tell your sysadmin"), as_json)
        return errors.Internal.code


def _without_client(line: str | None) -> str | None:
    """The line without the word `enc` before it: who typed that, or whose client sent it, reads of `enc` commands."""
    if line is None or not line.startswith(_CLIENT):
        return line
    output.name_commands_after(_CLIENT.strip(), verbs.TYPED)
    return line.removeprefix(_CLIENT)


def identify(settings: Config, caller: authentication.Identity, kind: str) -> Context:
    """The context of a caller whose key is still authorized.

    `kind` is the type of the caller's terminal (TERM). Raises EncError for a refusal, which is recorded.
    """
    log = AuditLog(settings.paths_audit, settings.audit_syslog, settings.audit_when_full == "refuse")
    log = log.bound(**caller.as_fields())
    try:
        entry = authentication.require_listed(
            caller, authorized_keys.load_key(settings.paths_authorized_keys, caller.blob)
        )
    except errors.EncError as error:
        with SignalsBlocked():
            log, excess = throttle.rule(settings, log, caller, kind=rates.UNLISTED)
            log, refused = log.bound(request=os.urandom(6).hex()), excess or error
            log.write("request", decision="deny", reason=refused.slug)
            log.write("result", status=refused.code, took_ms=0)
        raise refused from error
    return Context(
        config=settings,
        caller=caller,
        label=entry.label,
        audit=log,
        request="",
        began=0.0,
        terminal=kind,
    )


def answer(context: Context, line: str | None) -> int:
    """Authorize, record and carry out one line (None: the prompt), and return the exit status.

    Errors are reported and recorded here. At the prompt, raises Interrupted for a signal that has to end the prompt.
    """
    began = boottime()
    request = os.urandom(6).hex()
    log = context.audit.bound(request=request)
    ended = None
    try:
        try:
            with SignalsBlocked():
                context = context.replace(audit=log, request=request, began=began)
                authorized, log = _authorize(context, line)
            status = authorized if isinstance(authorized, int) else _carry_out(authorized, context.replace(audit=log))
        finally:
            signals.block()
    except errors.Interrupted as interrupted:
        output.failure(interrupted, wants_json(line))
        status = interrupted.code
        ended = interrupted if context.at_prompt and status != signals.CTRL_C else None
    try:
        log.write("result", status=status, took_ms=milliseconds_since(began))
    except errors.Misconfigured as error:
        output.failure(error, wants_json(line))
        status = status or error.code
    if ended:
        raise ended
    return status


def _authorize(context: Context, line: str | None) -> tuple[Command | int, AuditLog]:
    """The command to carry out, or the exit status of a refusal. Either is recorded, or counted beyond the limit on
    requests (rshell.front.throttle); the log is the one for the other records of the request.
    """
    asked = _parse(line)
    if not isinstance(asked, errors.EncError):
        asked = asked.asked_by(context.caller.principal)
    known = None if isinstance(asked, errors.EncError) else asked
    log, refused = throttle.rule(context.config, context.audit, context.caller, known, context.at_prompt)
    if refused is None:
        refused = asked if isinstance(asked, errors.EncError) else _policy_refusal(asked, context.replace(audit=log))
    decision, reason = ("deny", refused.slug) if refused else ("allow", "authorized")
    try:
        fields = {"at_prompt": context.at_prompt, **_audit_fields(known, context.config)}
        log.write("request", decision=decision, reason=reason, **fields)
    except errors.Misconfigured as error:
        refused = refused or error
    if known is None or refused:
        assert refused is not None  # noqa: S101 - what is no command is an error
        refusal.tell(refused, _words(line), wants_json(line))
        return refused.code, log
    return known, log


def _policy_refusal(asked: Command, context: Context) -> errors.EncError | None:
    try:
        policy.enforce(asked, context)
    except errors.EncError as error:
        return error
    return None


def _parse(line: str | None) -> Command | errors.EncError:
    try:
        return command.PROMPT if line is None else command.parse(line)
    except errors.EncError as error:
        return error


def wants_json(line: str | None) -> bool:
    """Whether the line asks for errors as JSON. Words after `--` belong to another program."""
    return "--json" in (line or "").partition(" -- ")[0].split()


def _words(line: str | None) -> list[str]:
    """Those of a line that may be no command."""
    return (line or "").split()


def _audit_fields(asked: Command | None, config: Config) -> dict[str, object]:
    """The audit fields of a command: values that were parsed, so nothing of a line that is no command; of the words of
    a program only its name, and that only if it is the host's.
    """
    if asked is None:
        return {}
    fields: dict[str, object] = {"verb": asked.verb.name}
    if asked.project:
        fields["project"] = asked.project
    if "--net" in asked.flags:
        fields["network"] = True
    if asked.verb.takes_command and asked.arguments and config.audit_programs == "record":
        from gateway.audit import program_names

        fields["program"] = program_names.of_host(asked.arguments[0], config.run_paths)
    return fields


def _carry_out(asked: Command, context: Context) -> int:
    try:
        if asked.wants_help:
            from rshell.commands import help

            return help.explain(asked.verb)
        package = "rshell.front" if asked is command.PROMPT else "rshell.commands"
        module = __import__(f"{package}.{asked.verb.module}", fromlist=["run"])
        status: int = module.run(context, asked)
        return status
    except errors.Interrupted:
        raise
    except errors.EncError as error:
        refusal.tell(error, asked.words, asked.wants_json)
        return error.code
    except Exception as fault:  # the only handler of unforeseen errors
        context.audit.best_effort().write("fault", **errors.fault_fields(fault))
        hint = "tell your sysadmin: the audit log has the place"
        said: errors.EncError = errors.Internal("internal error of the gateway", hint)
        if isinstance(fault, OSError) and fault.errno in _HOST:
            said = errors.Misconfigured(f"the gateway's host: {fault.strerror}", hint)
        if isinstance(fault, OSError) and fault.filename and errors.is_storage_lost(fault):  # no socket or terminal
            said = errors.of_storage(fault)
        refusal.tell(said, asked.words, asked.wants_json)
        return said.code
