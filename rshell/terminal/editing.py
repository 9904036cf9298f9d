"""Line editing for the prompt: GNU readline, without the functions that show, run or read something of the host.

No init file is read, and no history is kept on disk. Python has no interface to limit the length of a line, and cannot
unbind a key: it can only bind it to another function.
"""

from __future__ import annotations

import os
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal  # type: ignore[import-not-found] # as gateway.base.signals

from gateway.base import signals
from rshell.language.grammar import MAX_LINE
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_PROMPT = "enc> "
_HISTORY_LINES = 200
_SIGNAL_POLL_SECONDS = 0.5
"""A timer interrupts readline this often. Python handles a signal only when the select(2) that waits for a key is
interrupted: without the timer, a signal that arrives just before select(2) would wait for the next key.

The timer also raises what readline's C code has dropped: it clears every exception of a completion, and `input` loses
the first of two signals that arrive at once.
"""

_DISABLED_KEYS = {
    r"\e&": "tilde-expand, which shows the home directories of the host's accounts",
    r"\C-x\C-r": "re-read-init-file",
    r"\C-x\C-e": "edit-and-execute-command, in a readline that has it",
    r"\ex": "execute-named-command (readline 8.3): any function by its name",
    r"\e\C-j": "vi-editing-mode, which has other keys",
    r"\e\C-m": "vi-editing-mode",
    r"\C-r": "reverse-search-history: readline 8.2 crashes when C-x and another key follow",
    r"\C-s": "forward-search-history: the same",
}
"""Keys of readline's emacs mode (readline(3)) and what they do by default. Here they only redraw the line."""


def prepare(candidates: Callable[[list[str]], list[str]]) -> None:
    """Set up readline. `candidates` gives the completions that may follow the words before the cursor."""
    os.environ["INPUTRC"] = "/dev/null"
    import readline

    readline.set_auto_history(True)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    for key in _DISABLED_KEYS:
        readline.parse_and_bind(f'"{key}": redraw-current-line')
    _limit_line(MAX_LINE + 1)

    def complete(text: str, state: int) -> str | None:
        before = readline.get_line_buffer()[: readline.get_begidx()].split()
        matches = [word + " " for word in candidates(before) if word.startswith(text)]
        return matches[state] if state < len(matches) else None

    readline.set_completer(complete)


def _limit_line(length: int) -> None:
    """Make readline return at `length` bytes, as if Enter were pressed (rl_num_chars_to_read)."""
    import ctypes
    import readline

    library = ctypes.CDLL(getattr(readline, "__file__", None))
    ctypes.c_int.in_dll(library, "rl_num_chars_to_read").value = length


def line() -> str | None:
    """The next line, or None at the end of input. A line that is too long is cut; its rest is read and dropped.

    Raises Interrupted for a signal that arrived while the line was typed, whatever `input` made of it.
    """
    signal(SIGALRM, _tick)
    setitimer(ITIMER_REAL, _SIGNAL_POLL_SECONDS, _SIGNAL_POLL_SECONDS)
    try:
        first = _read()
    except EOFError:
        signals.raise_dropped()
        output.write(2, "\n")
        return None
    except (KeyboardInterrupt, SystemError):  # what `input` raises when it has lost the exception of a handler
        signals.raise_dropped()
        return ""
    finally:
        setitimer(ITIMER_REAL, 0)
    signals.raise_dropped()
    _forget_old_lines()
    return first


def _read() -> str:
    first = rest = input(_PROMPT)
    while len(rest.encode(errors="surrogateescape")) > MAX_LINE:
        rest = input()
    return first


def _tick(_number: int, frame: FrameType | None) -> None:
    """Only in `_read`: in a completion the exception would be lost again, and elsewhere nothing waits."""
    if frame and frame.f_code is _read.__code__:
        signals.raise_dropped()


def _forget_old_lines() -> None:
    import readline

    while readline.get_current_history_length() > _HISTORY_LINES:
        readline.remove_history_item(0)
