"""Reading a passphrase: from a program, from the terminal without echo, from standard input, or from a dialog.

The passphrase goes from here to the standard input of ssh and nowhere else. The environment can only name a program
that prints it (ENC_PASSPHRASE_COMMAND, SSH_ASKPASS), never the passphrase itself.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable

from client.errors import Missing, Usage
from client.system import children, linux, passphrases

_MAX_BYTES = 2048
"""As the gateway."""
_ATTEMPTS = 3
_CHECK_PROGRAM = "check ENC_PASSPHRASE_COMMAND or SSH_ASKPASS"


def read_new(prompt: str, minimum: int = 1) -> bytes:
    """A new passphrase, by the rule for them. A person types it twice, and is asked again for a bad one, or one of
    fewer than `minimum` characters. Raises as `read`, and Usage for a bad one.
    """
    return passphrases.canonical(_read(prompt, minimum))


def is_typed() -> bool:
    """Whether the passphrase is one that somebody types at our terminal."""
    chosen = os.environ.get("SSH_ASKPASS") and os.environ.get("SSH_ASKPASS_REQUIRE") in ("force", "prefer")
    return sys.stdin.isatty() and not os.environ.get("ENC_PASSPHRASE_COMMAND") and not chosen


def attempts() -> int:
    """How often to ask for a passphrase that may be wrong."""
    return _ATTEMPTS if is_typed() else 1


def read(prompt: str) -> bytes:
    """The passphrase of an existing project, as it was given: the gateway tries its spellings.

    Forbids core dumps and tracing of this process first. Raises Usage or Missing when there is none.
    """
    return _read(prompt, 0)


def read_code(prompt: str) -> bytes:
    """The same for a code that is used once: ENC_PASSPHRASE_COMMAND prints a passphrase, and not this."""
    return _read(prompt, 0, command="")


def _read(prompt: str, minimum: int, command: str | None = None) -> bytes:
    """`minimum`: as for `read_new`; 0 for a passphrase that exists. `command`: instead of ENC_PASSPHRASE_COMMAND."""
    linux.protect_memory()
    if command := os.environ.get("ENC_PASSPHRASE_COMMAND") if command is None else command:
        return _from_program(_split(command))
    askpass = os.environ.get("SSH_ASKPASS", "")
    require = os.environ.get("SSH_ASKPASS_REQUIRE", "")
    if askpass and require in ("force", "prefer"):
        return _from_program([askpass, prompt])
    if sys.stdin.isatty():
        return _typed(prompt, minimum)
    line = _checked(sys.stdin.buffer.readline(_MAX_BYTES + 2))
    if line:
        return line
    if askpass and require != "never" and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return _from_program([askpass, prompt])
    hint = "type it at a terminal, pipe it in as one line, or set ENC_PASSPHRASE_COMMAND"
    raise Usage("no passphrase was given", hint)


def _typed(prompt: str, minimum: int) -> bytes:
    import getpass

    def line(question: str) -> bytes:
        return _checked(getpass.getpass(question).encode())

    try:
        return _typed_twice(prompt, minimum, line) if minimum else line(prompt)
    except EOFError:
        raise Usage("no passphrase was given", "the terminal was closed") from None
    except UnicodeError:
        raise Usage("what was typed is no text in the terminal's encoding", "set LANG as the terminal does") from None


def _typed_twice(prompt: str, minimum: int, line: Callable[[str], bytes]) -> bytes:
    """Ask again, up to three times in all, where the passphrase is bad or the second is another. Raises Usage."""
    for left in range(_ATTEMPTS - 1, -1, -1):
        try:
            typed = line(prompt)
            _check_new(typed, minimum)
            if passphrases.canonical(line("Repeat the passphrase: ")) == passphrases.canonical(typed):
                return typed
            raise Usage("the two passphrases are different", "once more")
        except Usage as error:
            if not left:
                raise Usage(str(error), "nothing was changed") from error
            print(f"enc: {error}; {error.hint or 'try again'}", file=sys.stderr)
    raise AssertionError("the last attempt returns or raises")


def _check_new(typed: bytes, minimum: int) -> None:
    count = len(passphrases.canonical(typed).decode())
    if not count:
        raise Usage("the passphrase is empty", "type one, or press Ctrl-C")
    if count < minimum:
        raise Usage(f"the passphrase has fewer than {minimum} characters", "type a longer one, or use --allow-weak")


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise Usage(f"ENC_PASSPHRASE_COMMAND is not a valid command line: {error}") from error


def _from_program(argv: list[str]) -> bytes:
    try:
        done = children.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except (OSError, IndexError) as error:
        raise Missing("the passphrase program cannot be started", _CHECK_PROGRAM) from error
    line = _checked(done.stdout.split(b"\n", 1)[0])
    if done.returncode or not line:
        raise Usage("the passphrase program failed or printed nothing", _CHECK_PROGRAM)
    return line


def _checked(line: bytes) -> bytes:
    line = line.removesuffix(b"\n")
    if len(line) > _MAX_BYTES:
        raise Usage(f"the passphrase is longer than {_MAX_BYTES} bytes")
    return line
