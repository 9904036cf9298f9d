"""The names of projects, as the gateway has them."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def is_project(name: object) -> bool:
    """Whether `name` can be a project's. No character of one means anything to a shell or a terminal."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name)) and ".." not in name
