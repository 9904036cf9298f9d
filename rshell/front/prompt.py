"""The restricted prompt: the same commands, typed line by line at a terminal (rshell.terminal.editing)."""

from __future__ import annotations

import contextlib
import os
import signal

from gateway.base import signals
from gateway.errors import EncError, Interrupted, NotUnlocked, Usage
from gateway.identity import authentication, authorized_keys
from gateway.session import protocol
from gateway.vault import store
from rshell.context import Context
from rshell.front import main
from rshell.language.command import Command
from rshell.language.verbs import VERBS
from rshell.session import warden_client
from rshell.terminal import editing, output

_EXIT_WORDS = ("exit", "quit")


def run(context: Context, _command: Command) -> int:
    """Answer lines until the end of input, then close the session that the prompt started, if any.

    Raises Denied at the first line after the caller's key was revoked: sshd checks the key only at the login. Raises
    Interrupted when the terminal hangs up; the session then ends by itself, through its lifeline.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise Usage("no command, and no terminal for the prompt", "use `ssh gateway help`, or `ssh -t gateway`")
    context = context.replace(at_prompt=True)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    editing.prepare(lambda before: _completions(context, before))
    output.note(f"enc: {context.caller.principal}. `help` lists the commands, Ctrl-D leaves.")
    hung_up = False
    try:
        while _answer_one(context):
            continue
    except Interrupted:
        hung_up = True
        raise
    finally:
        if not hung_up:
            _close(context)
    return 0


def _answer_one(context: Context) -> bool:
    """Read and answer one line; return False to leave the prompt. Ctrl-C drops the line that is being typed."""
    try:
        signals.install_handlers()
        signals.unblock()
        line = editing.line()
        if line is None or line.strip() in _EXIT_WORDS:
            return False
        authentication.require_listed(context.caller, authorized_keys.load(context.config.paths_authorized_keys))
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
    """Tell the prompt's session that a line was typed: that is activity."""
    if here := context.session_here():
        with contextlib.suppress(NotUnlocked):
            warden_client.ask(context, here, protocol.Touch(principal=context.caller.principal, origin=context.origin))


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
    projects = list(store.names(context.vaults_home)) if verb.takes_project and len(before) == 1 else []
    return projects + [flag for flag in verb.flags if flag not in before]


def _close(context: Context) -> None:
    """Lock before we exit, so that when `ssh` ends, the projects are locked. The lifeline locks them in any case."""
    here = context.session_here()
    if here and here.anchor == "prompt":
        try:
            warden_client.close(context, here)
        except EncError as error:
            output.failure(error, as_json=False)
