"""The front door: who is it, is it well formed, is it allowed, record, do, report."""

from __future__ import annotations

import os
import time

from gateway import errors
from gateway.audit.log import AuditLog
from gateway.base import rlimits, signals
from gateway.base.signals import SignalsBlocked
from gateway.identity import authentication, authorized_keys
from rshell.context import Context
from rshell.front import misconfiguration, policy
from rshell.language import command
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config
    from rshell.language.command import Command

_MOST_DESCRIPTORS = 1 << 16
"""Above what sshd could have left open for us: all but 0, 1 and 2 is closed."""


def main(config_path: str) -> int:
    """Answer one SSH channel, by the configuration in `config_path`; the exit status. Only here are errors worded."""
    environ = dict(os.environ)
    os.environ.clear()
    os.umask(0o077)
    os.closerange(3, _MOST_DESCRIPTORS)
    rlimits.impose()
    line = environ.get("SSH_ORIGINAL_COMMAND")
    as_json = wants_json(line)
    try:
        signals.unblock()
        settings = misconfiguration.load(config_path, environ)
        caller = authentication.of_environment(environ)
        if isinstance(caller, authentication.Invitation):
            from rshell.front import enrol

            return enrol.answer(settings, caller, line)
        return answer(identify(settings, caller, environ.get("TERM", "")), line)
    except errors.EncError as error:
        output.failure(error, as_json)
        return error.code
    except Exception as fault:  # before there is a context, or because the audit itself fails: nowhere to record it
        about = " at ".join(errors.fault_fields(fault).values())
        output.failure(errors.Internal(f"a fault of the gateway ({about})", "tell your sysadmin"), as_json)
        return errors.Internal.code


def identify(settings: Config, caller: authentication.Identity, kind: str) -> Context:
    """The caller, whose key is still authorized, at a terminal of the type `kind` (TERM).

    Raises EncError when that is not certain.
    """
    log = AuditLog(settings.paths_audit, settings.audit_syslog, settings.audit_when_full == "refuse")
    log = log.bound(**caller.as_fields())
    try:
        entry = authentication.require_listed(caller, authorized_keys.load(settings.paths_authorized_keys))
        if settings.limits_logins:
            from gateway.limits import login_rate

            login_rate.admit(settings.paths_run, caller, settings.limits_logins)
    except errors.EncError as error:
        log = log.bound(request=os.urandom(6).hex())
        with SignalsBlocked():
            log.write("request", decision="deny", reason=error.slug)
            log.write("result", status=error.code, took_ms=0)
        raise
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
    """Judge, record and carry out one line, or, for None, the prompt; the exit status.

    What fails is reported and recorded here. Raises Interrupted at the prompt, when it is the prompt that has to end.
    """
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    request = os.urandom(6).hex()
    log = context.audit.bound(request=request)
    ended = None
    try:
        try:
            with SignalsBlocked():
                judged = _judge(context.replace(audit=log, request=request, began=began), line)
            status = judged if isinstance(judged, int) else _carry_out(*judged)
        finally:
            signals.block()
    except errors.Interrupted as interrupted:
        output.failure(interrupted, wants_json(line))
        status = interrupted.code
        ended = interrupted if context.at_prompt and status != signals.CTRL_C else None
    log.write("result", status=status, took_ms=round((time.clock_gettime(time.CLOCK_BOOTTIME) - began) * 1000))
    if ended:
        raise ended
    return status


def _judge(context: Context, line: str | None) -> tuple[Command, Context] | int:
    """The command to carry out, or the exit status of a refusal; either is recorded."""
    asked = None
    write = context.audit.write
    try:
        asked = command.PROMPT if line is None else command.parse(line)
        policy.enforce(asked, context)
    except errors.EncError as error:
        write("request", decision="deny", reason=error.slug, at_prompt=context.at_prompt, **_about(asked))
        output.failure(error, wants_json(line))
        return error.code
    write("request", decision="allow", reason="authorized", at_prompt=context.at_prompt, **_about(asked))
    return asked, context


def wants_json(line: str | None) -> bool:
    """Whether a failure is to be told to a program. What follows a `--` is for another program than us."""
    return "--json" in (line or "").partition(" -- ")[0].split()


def _about(asked: Command | None) -> dict[str, object]:
    """What the audit says of a command: typed words only, so nothing of a line that is no command."""
    if asked is None:
        return {}
    about: dict[str, object] = {"verb": asked.verb.name}
    if asked.project:
        about["project"] = asked.project
    if "--net" in asked.flags:
        about["network"] = True
    return about


def _carry_out(asked: Command, context: Context) -> int:
    try:
        if asked.wants_help:
            from rshell.commands import help

            return help.explain(asked.verb)
        home = "rshell.front" if asked is command.PROMPT else "rshell.commands"
        module = __import__(f"{home}.{asked.verb.module}", fromlist=["run"])
        status: int = module.run(context, asked)
        return status
    except errors.Interrupted:
        raise
    except errors.EncError as error:
        output.failure(error, asked.wants_json)
        return error.code
    except Exception as fault:  # the one handler for what nobody foresaw
        context.audit.write("fault", **errors.fault_fields(fault))
        output.failure(errors.Internal("a fault of the gateway", "the audit log says where"), asked.wants_json)
        return errors.Internal.code
