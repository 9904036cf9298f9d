"""NamedTuples from what JSON has: exactly as their annotations say, or refused.

So a file that was damaged, or that somebody else wrote, is found out where it is read, and not later by an operation on
a value of the wrong kind.
"""

from __future__ import annotations

import os
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def made(kind: type[T], plain: object) -> T:
    """The `kind`, a NamedTuple, that `plain` means: an object, or a list as JSON makes of it. Raises ValueError."""
    hints = get_type_hints(kind)
    if isinstance(plain, list) and len(plain) == len(hints):
        plain = dict(zip(hints, plain, strict=True))
    if not isinstance(plain, dict) or plain.keys() != hints.keys():
        raise ValueError(kind.__name__)
    return kind(**{key: _value(hint, plain[key]) for key, hint in hints.items()})


def _value(hint: Any, plain: object) -> Any:
    if hint in (str, int, bool):
        return _simple(hint, plain)
    if get_origin(hint) in (Union, types.UnionType):  # ... | None
        return None if plain is None else _value(get_args(hint)[0], plain)
    if get_origin(hint) is tuple:  # of any length
        if not isinstance(plain, list):
            raise ValueError(hint)
        return tuple(_value(get_args(hint)[0], each) for each in plain)
    return made(hint, plain)


def _simple(hint: Any, plain: object) -> Any:
    if type(plain) is not hint:
        raise ValueError(hint)
    if isinstance(plain, str) and b"\0" in os.fsencode(plain):  # which also refuses what no path can have
        raise ValueError(hint)
    return plain
