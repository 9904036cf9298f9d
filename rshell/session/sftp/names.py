"""Which project a path of SFTP names: the first name in it, from the directory of the projects or from /."""

from __future__ import annotations

import os

from gateway.identity.names import ProjectName
from gateway.sandbox.paths import PROJECTS


def located(path: bytes) -> tuple[ProjectName | None, bytes]:
    """The project, and the path from the root of a session's sandbox. Without a project, that of the projects for what
    means that, and otherwise the path as it is.

    `..` behind a project leads back to all of them. Any other is the session's to judge: there may be a link.
    """
    text = os.fsdecode(path)
    below = text.removeprefix(PROJECTS) if f"{text}/".startswith(f"{PROJECTS}/") else text
    found: list[str] = []
    for part in below.split("/"):
        if part == ".." and len(found) <= 1:
            found = []
        elif part not in ("", "."):
            found.append(part)
    if not found:
        return None, os.fsencode(PROJECTS)
    if not ProjectName.accepts(found[0]):
        return None, path
    slash = "/" if text.endswith("/") else ""
    return ProjectName(found[0]), os.fsencode("/".join((PROJECTS, *found)) + slash)
