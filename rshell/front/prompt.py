"""The restricted prompt: the same commands, typed line by line at a terminal (rshell.terminal.editing)."""

from __future__ import annotations

import contextlib
import os
import signal

from gateway.base import signals
from gateway.errors import Busy, Denied, EncError, Interrupted, NotUnlocked, Usage
from gateway.session import protocol
from gateway.vault import store
from gateway.vault.members import links
from rshell.context import Context
from rshell.front import main
from rshell.language.command import Command
from rshell.language.grammar import printable
from rshell.language.verbs import VERBS, Verb
from rshell.session import warden_client
from rshell.terminal import editing, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EXIT_WORDS = ("exit", "quit")
_TOUCH_SECONDS = 2.0
"""For the session to note that a line was typed."""


def run(context: Context, _command: Command) -> int:
    """Answer lines until the end of input, then close the session that the prompt started, if any.

    Raises Denied when the caller's key is revoked: sshd checks the key only at the login. Raises Interrupted when the
    terminal hangs up; the session then ends by itself, through its lifeline.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise Usage("no command, and no terminal for the prompt", "use `ssh gateway help`, or `ssh -t gateway`")
    context = context.replace(at_prompt=True)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    editing.prepare(lambda before: _completions(context, before))
    principal = str(context.caller.principal)
    who = printable(context.label) if context.label and principal.startswith("SHA256:") else principal
    output.note(f"enc: you are {who}. `help` lists the commands, Ctrl-D leaves.")
    check = context.key_checker()
    reason = "logout"
    try:
        while _answer_one(context, check):
            continue
    except Interrupted:
        reason = ""
        raise
    except Denied:
        reason = "revoked"
        raise
    finally:
        if reason:
            _close(context, reason)
    return 0


def _answer_one(context: Context, check: Callable[[], None]) -> bool:
    """Read and answer one line; return False to leave the prompt. Ctrl-C drops the line that is being typed."""
    try:
        signals.install_handlers()
        signals.unblock()
        line = editing.line(check)
        if line is None or line.strip() in _EXIT_WORDS:
            return False
        context.require_key()
        if line.strip():
            _report_activity(context)
            main.answer(context, line)
    except Interrupted as interrupted:
        if interrupted.code != signals.CTRL_C:
            raise
        output.write(2, "\n")
    except UnicodeDecodeError:
        output.note("enc: that line is not UTF-8")
    return True


def _report_activity(context: Context) -> None:
    """Tell the prompt's session that a line was typed: that is activity. A session that ends, or does not answer, is no
    reason not to carry out the line, which may be what ends it.
    """
    if here := context.session_here():
        touch = protocol.Touch(principal=context.caller.principal, origin=context.origin)
        with contextlib.suppress(NotUnlocked, Busy):
            warden_client.ask(context, here, touch, _TOUCH_SECONDS)


def _completions(context: Context, before: list[str]) -> list[str]:
    """The words that Tab offers after the words `before`."""
    typed = [name for name, verb in VERBS.items() if not verb.is_transfer]
    if not before:
        return [*typed, *_EXIT_WORDS]
    if before == ["help"]:
        return typed
    verb = VERBS.get(before[0])
    if verb is None:
        return []
    words = [] if before[-1].startswith("-") else _next_words(verb, before[1:])
    projects = _projects(context, verb) if "PROJECT" in words else []
    return projects + [word for word in words if word.islower()] + [flag for flag in verb.flags if flag not in before]


def _projects(context: Context, verb: Verb) -> list[str]:
    """The caller's own, and what is shared with them for a command that may name it."""
    shared = links.names(context.config.paths_vaults, context.caller.principal) if verb.for_members else ()
    there = (name for name in shared if os.path.isdir(os.path.join(context.vaults_of(name.owner), name.project)))
    return [*store.names(context.vaults_home), *there]


def _next_words(verb: Verb, given: list[str]) -> list[str]:
    """What may follow `given`: PROJECT, or a word of a form."""
    forms = [form.split() for form in verb.forms] or [list(verb.takes)]
    at = len(given)
    fits = (
        form for form in forms if at < len(form) and all(a in (b, a.upper()) for a, b in zip(form, given, strict=False))
    )
    return list(dict.fromkeys(form[at] for form in fits))


def _close(context: Context, reason: str) -> None:
    """Lock before we exit, so that when `ssh` ends, the projects are locked. The lifeline locks them in any case."""
    here = context.session_here()
    if here and here.kind_on(context.caller.connection) == "prompt":
        try:
            failed = warden_client.close(context, (here,), reason).failed
        except EncError as error:
            failed = error
        if failed:
            output.failure(failed, as_json=False)
