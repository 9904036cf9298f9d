"""`dumps` and `loads` like those of `json`, without its 5 ms of import.

`json` loads `re`, `enum` and `collections`, which nothing else on a forced command's path needs. This module calls the
same C functions that `json` calls. They are private to CPython, so they are tested once at import; where they are
missing or behave differently, `json` itself is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _DecoderSettings:
    """The attributes of `json.JSONDecoder` that the scanner reads, with their defaults."""

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
        value, end = _json.make_scanner(_DecoderSettings)(text, 0)  # type: ignore[arg-type]
    except StopIteration:
        raise ValueError("not JSON") from None
    except SystemError:  # an error inside a value: the scanner needs json's own exception, which is not loaded
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

    _c_works = _loads_by_c(_dumps_by_c(_SAMPLE)) == _SAMPLE
except (ImportError, AttributeError, TypeError):
    _c_works = False


def dumps(value: Any, comma: str = ", ", colon: str = ": ") -> str:
    """`value` as JSON, in ASCII. Raises TypeError, ValueError."""
    return _dumps_by_c(value, comma, colon) if _c_works else _dumps_by_json(value, comma, colon)


def loads(text: str | bytes) -> Any:
    """Parse `text` (bytes are UTF-8). Raises ValueError, RecursionError."""
    return _loads_by_c(text) if _c_works else _loads_by_json(text)
