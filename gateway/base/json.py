"""`dumps` and `loads` as `json` has them, without its 5 ms: it loads `re`, `enum` and `collections`, which nothing
else on a forced command's path needs.

The work is done by the same C functions that `json` calls. They are private to CPython, so they are tried out once,
and an interpreter in which they are not there, or not the same, gets `json` itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Settings:
    """What a `json.JSONDecoder` is to the scanner, with its defaults."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _dumps_by_c(value: Any, comma: str = ", ", colon: str = ": ") -> str:
    text = _json.encode_basestring_ascii
    return "".join(_json.make_encoder({}, _refuse, text, None, colon, comma, False, False, False)(value, 0))


def _loads_by_c(text: str | bytes) -> Any:
    text = (text if isinstance(text, str) else text.decode()).strip(" \t\n\r")
    try:
        value, end = _json.make_scanner(_Settings)(text, 0)  # type: ignore[arg-type]
    except StopIteration:
        raise ValueError("not JSON") from None
    except SystemError:  # what is wrong inside of a value it would say with json's own exception, which is not loaded
        return _loads_by_json(text)
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


def _dumps_by_json(value: Any, comma: str = ", ", colon: str = ": ") -> str:
    import json

    return json.dumps(value, separators=(comma, colon), allow_nan=False)


def _loads_by_json(text: str | bytes) -> Any:
    import json

    return json.loads(text)


_SAMPLE = {"a": [1, True, None, "\u00e9"]}

try:
    import _json

    _same = _loads_by_c(_dumps_by_c(_SAMPLE)) == _SAMPLE
except (ImportError, AttributeError, TypeError):
    _same = False


def dumps(value: Any, comma: str = ", ", colon: str = ": ") -> str:
    """`value` as JSON, in ASCII. Raises TypeError, ValueError."""
    return _dumps_by_c(value, comma, colon) if _same else _dumps_by_json(value, comma, colon)


def loads(text: str | bytes) -> Any:
    """The value that `text` (UTF-8) is. Raises ValueError, RecursionError."""
    return _loads_by_c(text) if _same else _loads_by_json(text)
