"""Reading a passphrase: from a helper, from the terminal without echo, from standard input, or from a desktop's dialog.

It goes from here down the standard input of ssh, and nowhere else. Only ENC_PASSPHRASE_COMMAND names a program; what
that prints is the passphrase.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from client.errors import Missing, Usage
from client.system import linux as platform

_LONGEST = 2048


def obtain(prompt: str, twice: bool = False) -> bytes:
    """The passphrase. `twice` has it typed again where it is typed. Raises Usage or Missing when there is none."""
    platform.keep_memory_private()
    if helper := os.environ.get("ENC_PASSPHRASE_COMMAND"):
        return _from_program(_words(helper))
    askpass = os.environ.get("SSH_ASKPASS", "")
    wanted = os.environ.get("SSH_ASKPASS_REQUIRE", "")
    if askpass and wanted in ("force", "prefer"):
        return _from_program([askpass, prompt])
    if sys.stdin.isatty():
        return _typed(prompt, twice)
    said = _checked(sys.stdin.buffer.readline(_LONGEST + 2))
    if said:
        return said
    if askpass and wanted != "never" and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return _from_program([askpass, prompt])
    raise Usage("there is no passphrase", "type it at a terminal, pipe one line in, or set ENC_PASSPHRASE_COMMAND")


def _typed(prompt: str, twice: bool) -> bytes:
    import getpass

    try:
        said = getpass.getpass(prompt)
        if twice and getpass.getpass("The same again: ") != said:
            raise Usage("the two passphrases differ", "nothing was done")
    except EOFError:
        raise Usage("there is no passphrase", "the terminal was closed") from None
    return _checked(said.encode())


def _words(helper: str) -> list[str]:
    try:
        return shlex.split(helper)
    except ValueError as error:
        raise Usage(f"ENC_PASSPHRASE_COMMAND is no command: {error}") from error


def _from_program(argv: list[str]) -> bytes:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    except (OSError, IndexError) as error:
        raise Missing("the program that gives the passphrase cannot be run", "see ENC_PASSPHRASE_COMMAND") from error
    said = _checked(done.stdout.split(b"\n", 1)[0])
    if done.returncode or not said:
        raise Usage("the program that gives the passphrase gave none", "see ENC_PASSPHRASE_COMMAND")
    return said


def _checked(said: bytes) -> bytes:
    said = said.removesuffix(b"\n").removesuffix(b"\r")
    if len(said) > _LONGEST:
        raise Usage(f"the passphrase is longer than {_LONGEST} bytes")
    return said
