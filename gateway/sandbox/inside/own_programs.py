"""Starting the programs of this folder in a sandbox."""

from __future__ import annotations

import os
import sys

from gateway.base import interpreter

GLOBBING = "/globbing.py"
FOREGROUND = "/foreground.py"
WORKSPACE = "/workspace.py"
EGRESS = "/egress.py"
"""Where a sandbox has them."""


def _source(path: str) -> bytes:
    directory = os.path.dirname(os.path.abspath(__file__))
    with open(directory + path, "rb") as file:
        return file.read()


SOURCES = {path: _source(path) for path in (GLOBBING, FOREGROUND, WORKSPACE, EGRESS)}
"""Their contents, read when a session begins: an upgrade may replace the files."""


def can_start() -> bool:
    """Whether our Python is where it was when the session began: an upgrade may have removed it. The session goes on
    without these programs then.
    """
    return os.path.exists(interpreter.program()) and os.path.exists(os.__file__)


def argv(path: str, *arguments: str) -> list[str]:
    """The command line of one, for inside the sandbox."""
    return [interpreter.program(), "-I", "-S", path, *arguments]


def interpreter_argv() -> list[str]:
    """bwrap's options for a Python that is not in /usr, which every sandbox has."""
    base = sys.base_prefix
    return [] if base == "/usr" or base.startswith("/usr/") else ["--ro-bind", base, base]
