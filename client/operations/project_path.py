"""`P[:PATH]` on a command line: a project, and a path below it."""

from __future__ import annotations

import os
from typing import NamedTuple

from client.errors import Usage
from client.operations import projects
from client.system import names

LONGEST = 4000
"""Bytes of a path: rsync's own limit is 4,096 with what it puts before."""


class ProjectPath(NamedTuple):
    """`path` has neither `.`, `..` nor empty parts; "" is the project's top."""

    project: str
    path: str

    def __str__(self) -> str:
        return f"{self.project}:{self.path}" if self.path else self.project


def parse(word: str) -> ProjectPath:
    """The place that `word` names. Raises Usage."""
    project = names.before_path(word) or projects.check_name(word.partition(":")[0])
    return ProjectPath(project, _checked(word[len(project) + 1 :]))


def is_one(word: str) -> bool:
    """Whether `word` has a project and a colon, so that it cannot be meant as a file of this machine."""
    return any(names.is_project(word[:at]) for at, char in enumerate(word) if char == ":")


def _checked(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/"):
        hint = f"leave out the slash at its start: {'/'.join(parts)}" if parts else "leave out the slash"
        raise Usage(f"{path!r} is not a path in a project", hint)
    if ".." in parts:
        raise Usage(f"{path!r} is not a path in a project", "write it from the project's top, without ..")
    if len(os.fsencode(path)) > LONGEST:
        raise Usage(f"a path in a project has at most {LONGEST} bytes", "copy a directory further up")
    return "/".join(parts)
