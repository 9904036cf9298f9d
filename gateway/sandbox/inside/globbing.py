"""A program of its own: find the files that patterns mean, and become scp or rsync with their names.

    python3 -I -S globbing.py PROGRAM FIRST WORD PATTERN WORD PATTERN ...

It runs in a transfer's sandbox, where it sees what the program would see, and without a shell. `FIRST` words follow
that are passed on as they are; then come pairs: a word, and the pattern that it is ("" for none). As with a shell, a
pattern that matches nothing stands for itself. There is a bound on what a pattern matches: with a link to the directory
that it is in, it could be any number of names.

It imports nothing of ours: the sandbox has a copy of this file alone.
"""

from __future__ import annotations

import fnmatch
import os
import sys

MOST = 20_000
"""Names that a pattern may match."""
MOST_DIRECTORIES = 1_000
"""Directories that it may look into for one part of it."""


class TooMany(Exception):
    """A pattern matches more than that."""


def names(pattern: str) -> list[str]:
    """The paths that `pattern` matches, in order; none if there are none. Raises TooMany."""
    found = ["/"] if pattern.startswith("/") else [""]
    parts = [part for part in pattern.split("/") if part]
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        below = []
        for path in found:
            for name in _matching(path or ".", part):
                if is_last or os.path.isdir(path + name):
                    below.append(path + name + ("" if is_last else "/"))
                if len(below) > (MOST if is_last else MOST_DIRECTORIES):
                    raise TooMany
        found = below
    if pattern.endswith("/"):
        found = [path + "/" for path in found if os.path.isdir(path)]
    return sorted(found)


def _matching(directory: str, part: str) -> list[str]:
    """The names in `directory` that one part of a pattern matches: those with a dot in front only if it has one too."""
    if not any(char in part for char in "*?["):
        return [part] if os.path.lexists(os.path.join(directory, part)) else []
    try:
        listed = os.listdir(directory)
    except OSError:
        return []
    return [name for name in fnmatch.filter(listed, part) if name[0] != "." or part[0] == "."]


def expanded(words: list[str]) -> list[str]:
    """The words of pairs of words and patterns. Raises TooMany."""
    found: list[str] = []
    for word, pattern in zip(words[::2], words[1::2], strict=True):
        found += (names(pattern) if pattern else []) or [word]
    return found


def main(words: list[str]) -> None:
    """Become the program, or end with 1 and a line on standard error."""
    program, first = words[0], int(words[1])
    try:
        argv = [program, *words[2 : 2 + first], *expanded(words[2 + first :])]
        os.execv(program, argv)  # noqa: S606 - without a shell
    except (TooMany, OSError):
        sys.stderr.write("enc: that pattern matches too many names; name a directory\n")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
