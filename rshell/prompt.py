"""The restricted prompt: the same commands, line by line, for a person at a terminal.

Line editing and completion are GNU readline's, with no init file and no history on disk.
"""

from __future__ import annotations

import contextlib
import os
import signal

from gateway import authorized_keys, identity, protocol, vaults
from gateway.errors import EncError, NotUnlocked, Usage
from rshell import link, main, terminal
from rshell.command import VERBS, Command
from rshell.context import Context

_LEAVE = ("exit", "quit")


def run(context: Context, _command: Command) -> int:
    """Answer lines until the end of input, then close the session that the prompt started, if any.

    Raises NotYours at the first line after the caller's key was taken away: sshd asks only at the login.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise Usage("no command, and no terminal for the prompt", "ssh gateway help, or ssh -t gateway")
    context = context.replace(at_prompt=True)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _prepare_readline(context)
    terminal.note(f"enc: {context.caller.principal}. `help` lists the commands, Ctrl-D leaves.")
    try:
        while (line := _read()) is not None:
            identity.still_listed(context.caller, authorized_keys.load(context.config.paths_authorized_keys))
            if line.strip():
                _touch(context)
                main.answer(context, line)
    finally:
        _close(context)
    return 0


def _touch(context: Context) -> None:
    """A typed line keeps the prompt's session."""
    if here := context.session_here():
        with contextlib.suppress(NotUnlocked):
            link.ask(context, here, protocol.Touch(principal=context.caller.principal, origin=context.origin))


def _read() -> str | None:
    """The next line, or None at the end. Ctrl-C drops what was typed."""
    while True:
        try:
            line = input("enc> ")
        except EOFError:
            terminal.write(2, "\n")
            return None
        except KeyboardInterrupt:
            terminal.write(2, "\n")
            continue
        except UnicodeDecodeError:
            terminal.note("enc: that line is not UTF-8")
            continue
        return None if line.strip() in _LEAVE else line


def _prepare_readline(context: Context) -> None:
    os.environ["INPUTRC"] = "/dev/null"
    import readline

    readline.set_auto_history(True)
    readline.set_history_length(200)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")

    def complete(text: str, state: int) -> str | None:
        before = readline.get_line_buffer()[: readline.get_begidx()].split()
        matches = [word + " " for word in _candidates(context, before) if word.startswith(text)]
        return matches[state] if state < len(matches) else None

    readline.set_completer(complete)


def _candidates(context: Context, before: list[str]) -> list[str]:
    typed = [name for name, verb in VERBS.items() if not verb.transfers]
    if not before:
        return [*typed, *_LEAVE]
    if before == ["help"]:
        return typed
    verb = VERBS.get(before[0])
    if verb is None:
        return []
    projects = list(vaults.names(context.vaults_home)) if verb.takes_project and len(before) == 1 else []
    return projects + [flag for flag in verb.flags if flag not in before]


def _close(context: Context) -> None:
    """Lock before we leave, so that the end of `ssh` means locked. The leash would see to it in any case."""
    here = context.session_here()
    if here and here.anchor == "prompt":
        try:
            link.close(context, here)
        except EncError as error:
            terminal.failure(error, as_json=False)
