"""Typed JSON decoding: NamedTuples from JSON values that match their annotations exactly; everything else is refused.

So a damaged or foreign file is refused where it is read, and not later by an operation on a value of the wrong type.
"""

from __future__ import annotations

import os
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], value: object) -> T:
    """The NamedTuple `kind` from `value`: a JSON object, or the list that json makes of a tuple. Raises ValueError."""
    hints = get_type_hints(kind)
    if isinstance(value, list) and len(value) == len(hints):
        value = dict(zip(hints, value, strict=True))
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise ValueError(kind.__name__)
    return kind(**{key: _decode(hint, value[key]) for key, hint in hints.items()})


def _decode(hint: Any, value: object) -> Any:
    if hint in (str, int, bool):
        return _scalar(hint, value)
    if get_origin(hint) in (Union, types.UnionType):  # ... | None
        return None if value is None else _decode(get_args(hint)[0], value)
    if get_origin(hint) is tuple:  # of any length
        if not isinstance(value, list):
            raise ValueError(hint)
        return tuple(_decode(get_args(hint)[0], each) for each in value)
    return decode(hint, value)


def _scalar(hint: Any, value: object) -> Any:
    if type(value) is not hint:  # isinstance would take True for an int
        raise ValueError(hint)
    if isinstance(value, str) and b"\0" in os.fsencode(value):  # fsencode also refuses what no path can contain
        raise ValueError(hint)
    return value
