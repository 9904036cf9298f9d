"""The names of projects, as the gateway has them: `P` is a project of one's own, `OWNER/P` one that OWNER shares.

What has one of these names on this machine gets it from here: a directory (client.mount.mount_point), a file
(`in_file_name`), a word of a command line. No character of a name means anything to a shell or a terminal, and none of
its parts is `..` or begins with a dash or a dot, whatever a gateway calls its projects.
"""

from __future__ import annotations

import re

_OWN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_KEY = re.compile(r"SHA256:[A-Za-z0-9_-]{43}")
"""The principal of a key without a name: its fingerprint, in base64url, which has no slash."""
RULE = "use 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit, without '..'"


def is_own(name: object) -> bool:
    """Whether `name` can be that of a project of one's own."""
    return isinstance(name, str) and bool(_OWN.fullmatch(name)) and ".." not in name


def is_shared(name: object) -> bool:
    """Whether `name` can be that of a project of somebody else's."""
    owner, slash, project = name.partition("/") if isinstance(name, str) else ("", "", "")
    return bool(slash) and is_own(project) and is_principal(owner)


def is_project(name: object) -> bool:
    return is_own(name) or is_shared(name)


def is_principal(name: object) -> bool:
    """Whether `name` can be somebody's, as it stands in the name of a project."""
    return isinstance(name, str) and bool(_KEY.fullmatch(name) or (_PRINCIPAL.fullmatch(name) and ".." not in name))


def owner(project: str) -> str:
    """Whose it is; "" for a project of one's own."""
    return project.rpartition("/")[0]


def at_owner(project: str) -> str:
    """What its owner calls it."""
    return project.rpartition("/")[2]


def before_path(word: str) -> str:
    """The project of `P` or `P:PATH`; "" if it begins with none. The owner of a project can be called by a key,
    `SHA256:...`, which has another colon.
    """
    colons = [at for at, char in enumerate(word) if char == ":"]
    return next((word[:at] for at in (*colons, len(word)) if is_project(word[:at])), "")


def in_file_name(project: str) -> str:
    """`project` as a part of a file name. No two have the same: no name has a `%`."""
    return project.replace("/", "%")
