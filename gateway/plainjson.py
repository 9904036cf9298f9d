"""`dumps` and `loads` as `json` has them, without its 5 ms: it loads `re`, `enum` and `collections`, which nothing
else on a forced command's path needs.

The work is done by the same C functions that `json` calls (`_json`, private to CPython). An interpreter without
them gets `json` itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import _json
except ImportError:
    _json = None  # type: ignore[assignment]


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


def dumps(value: Any, comma: str = ", ", colon: str = ": ") -> str:
    """`value` as JSON, in ASCII. Raises TypeError, ValueError."""
    if not _json:
        import json

        return json.dumps(value, separators=(comma, colon), allow_nan=False)
    text = _json.encode_basestring_ascii
    return "".join(_json.make_encoder({}, _refuse, text, None, colon, comma, False, False, False)(value, 0))


def loads(text: str | bytes) -> Any:
    """The value that `text` (UTF-8) is. Raises ValueError, RecursionError."""
    if not _json:
        import json

        return json.loads(text)
    text = (text if isinstance(text, str) else text.decode()).strip(" \t\n\r")
    try:
        value, end = _json.make_scanner(_Settings)(text, 0)  # type: ignore[arg-type]
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value
