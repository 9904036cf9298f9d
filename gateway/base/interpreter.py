"""The Python interpreter and the directory of our code, for starting programs of our own."""

from __future__ import annotations

import os
import sys


def code_root() -> str:
    """The directory that `gateway` and `rshell` are imported from."""
    return os.path.abspath(__file__).rsplit("/", 3)[0]


def python(module_file: str, *arguments: str) -> list[str]:
    """The argv that runs one of our files as `__main__`: isolated (-I), and without `site` (-S), which costs 3 ms.

    It names the real interpreter, not a venv's link to it. A venv's packages need `site`; our code is found without it.
    """
    return [os.path.realpath(sys.executable), "-I", "-S", os.path.join(code_root(), module_file), *arguments]


def program() -> str:
    """The path of this Python: /usr/bin/python3 if that is it, because the link survives an upgrade of Python."""
    real = os.path.realpath(sys.executable)
    return "/usr/bin/python3" if os.path.realpath("/usr/bin/python3") == real else real
