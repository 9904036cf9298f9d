"""Line editing for the prompt: GNU readline, without what it could show, run or read of the host.

No init file is read and no history kept on disk. Python offers no way to limit how long a line grows, or to take a
function off its key but by naming another one.
"""

from __future__ import annotations

import os
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal  # type: ignore[import-not-found] # as gateway.base.signals

from rshell.language.grammar import MAX_LINE
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PROMPT = "enc> "
_HISTORY = 200
_PULSE = 0.5
"""Seconds in which a signal is noticed. Python looks for one only when the select(2) in which it waits for a key is
interrupted, and one that came just before that would wait for the next key.
"""

_NOT_FOR_CALLERS = {
    r"\e&": "tilde-expand, which shows the home directories of the host's accounts",
    r"\C-x\C-r": "re-read-init-file",
    r"\C-x\C-e": "edit-and-execute-command, where a readline has it",
    r"\ex": "execute-named-command (readline 8.3): any function by its name",
    r"\e\C-j": "vi-editing-mode, whose keys are others",
    r"\e\C-m": "vi-editing-mode",
}
"""Keys of readline's emacs mode (readline(3)) that only redraw the line here, and what they would do."""


def prepare(candidates: Callable[[list[str]], list[str]]) -> None:
    """Set up readline; `candidates` are the completions after the words before."""
    os.environ["INPUTRC"] = "/dev/null"
    import readline

    readline.set_auto_history(True)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    for key in _NOT_FOR_CALLERS:
        readline.parse_and_bind(f'"{key}": redraw-current-line')
    _limit(MAX_LINE + 1)

    def complete(text: str, state: int) -> str | None:
        before = readline.get_line_buffer()[: readline.get_begidx()].split()
        matches = [word + " " for word in candidates(before) if word.startswith(text)]
        return matches[state] if state < len(matches) else None

    readline.set_completer(complete)


def _limit(longest: int) -> None:
    """Have readline return a line that has `longest` bytes, as if Enter were pressed (rl_num_chars_to_read)."""
    import ctypes
    import readline

    library = ctypes.CDLL(getattr(readline, "__file__", None))
    ctypes.c_int.in_dll(library, "rl_num_chars_to_read").value = longest


def line() -> str | None:
    """The next line, or None at the end of input. One that is too long is cut off, and its rest is no other line."""
    signal(SIGALRM, lambda *_: None)
    setitimer(ITIMER_REAL, _PULSE, _PULSE)
    try:
        first = rest = input(_PROMPT)
        while len(rest.encode(errors="surrogateescape")) > MAX_LINE:
            rest = input()
    except EOFError:
        output.write(2, "\n")
        return None
    finally:
        setitimer(ITIMER_REAL, 0)
    _forget_old_lines()
    return first


def _forget_old_lines() -> None:
    import readline

    while readline.get_current_history_length() > _HISTORY:
        readline.remove_history_item(0)
