"""Where our code lies, and the interpreter that runs it: for starting programs of our own."""

from __future__ import annotations

import os
import sys


def code_root() -> str:
    """The directory that `gateway` and `rshell` are imported from."""
    return os.path.abspath(__file__).rsplit("/", 3)[0]


def python(module_file: str, *arguments: str) -> list[str]:
    """This interpreter on one of our `__main__` files: isolated, and without `site`, which costs 3 ms.

    The real file, not a venv's link to it: what a venv adds is `site`'s work, and ours stands beside this module.
    """
    return [os.path.realpath(sys.executable), "-I", "-S", os.path.join(code_root(), module_file), *arguments]


def program() -> str:
    """This Python, by the name that outlives an upgrade of it where it has one."""
    real = os.path.realpath(sys.executable)
    return "/usr/bin/python3" if os.path.realpath("/usr/bin/python3") == real else real
