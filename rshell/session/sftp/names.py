"""Which project a path of SFTP names: the first name in it, from the directory of the projects or from /; of a project
of somebody else's, the first two.
"""

from __future__ import annotations

import os

from gateway.identity.names import Named, Principal, ProjectName, SharedName
from gateway.sandbox.paths import PROJECTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


Place = Named | Principal | None
"""A project, the directory of one who shares projects, or none: that of all projects, or what is no project."""


def located(path: bytes, sharers: Mapping[str, Principal]) -> tuple[Place, bytes]:
    """The project, and the path from the root of a session's sandbox. Without a project, that of the projects for what
    means that, and otherwise the path as it is. `sharers` are as in rshell.session.transfer.project_of; the directory
    of one of them is told by the principal.

    `..` behind a project leads back to all of them. Any other is the session's to judge: there may be a link.
    """
    text = os.fsdecode(path)
    below = text.removeprefix(PROJECTS) if f"{text}/".startswith(f"{PROJECTS}/") else text
    found: list[str] = []
    for part in below.split("/"):
        if part == ".." and len(found) <= (2 if found and found[0] in sharers else 1):
            found = found[:-1]
        elif part not in ("", "."):
            found.append(part)
    if not found:
        return None, os.fsencode(PROJECTS)
    slash = "/" if text.endswith("/") else ""
    whole = os.fsencode("/".join((PROJECTS, *found)) + slash)
    if owner := sharers.get(found[0]):
        if len(found) == 1:
            return owner, whole
        name = found[1]
        return (SharedName.made_of(owner, ProjectName(name)), whole) if ProjectName.accepts(name) else (owner, path)
    return (ProjectName(found[0]), whole) if ProjectName.accepts(found[0]) else (None, path)
