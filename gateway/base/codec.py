"""Records as JSON and back, by their annotations: messages on a socket, and records that are kept in files.

An annotation is `str`, `int`, `bool`, `float`, `Word`, `Shown`, `Fd`, a word of the caller's table, `tuple[X, ...]` of
one of these, or `X | None`. Nothing is evaluated and nothing converted: a value has the type that the annotation
names, and an object the fields that its class has, or the whole is refused.
"""

from __future__ import annotations

from gateway.base import json
from gateway.base.records import Fd, Record
from gateway.errors import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")
    R = TypeVar("R", bound=Record)
    Words = Mapping[str, type[Record] | Callable[[str], object]]
    """What other words of annotations mean: a nested record, or a type of names, by what makes one of a str. That
    raises Usage or ValueError for what is none.
    """

Word = str
"""A field that becomes a word of an argv: execve(2) takes no NUL. A byte that is not UTF-8 is a surrogate (PEP 383)."""
Shown = str
"""A field that people are shown as it is, at a terminal: every character is printable."""

_EXACT = {"str": str, "int": int, "bool": bool, "float": float}
_OPTIONAL, _TUPLE, _MANY = " | None", "tuple[", ", ...]"


def fields(record: Record, give: Callable[[Fd], object] = int) -> dict[str, object]:
    """What JSON has for `record`. `give` says what stands for a descriptor, by default its number."""
    return {name: _plain(value, give) for name, value in record.as_dict().items()}


def _plain(value: object, give: Callable[[Fd], object]) -> object:
    if isinstance(value, Record):
        return fields(value, give)
    if isinstance(value, tuple):
        return [_plain(one, give) for one in value]
    return give(value) if isinstance(value, Fd) else value


def descriptors(record: Record) -> list[Fd]:
    """Those in `record` and in what it has nested, in order of the fields."""
    found: list[Fd] = []
    fields(record, found.append)
    return found


def dumps(record: Record) -> str:
    return json.dumps(fields(record))


def loads(
    kind: type[R], text: str | bytes, words: Words, adapt: Callable[[object], object] = lambda values: values
) -> R:
    """The record that `dumps` made. Raises ValueError for anything else. `adapt` may change what JSON says before."""
    try:
        return Decoder(words).record(kind, adapt(json.loads(text)))
    except (TypeError, RecursionError, Usage) as error:
        raise ValueError(f"not a {kind.__name__}") from error


def _number(value: object) -> Fd:
    if type(value) is not int or value < 0:
        raise TypeError("a descriptor")
    return Fd(value)


class Decoder:
    """`take` gives the descriptor that a value stands for, by default the one of that number."""

    def __init__(self, words: Words, take: Callable[[object], Fd] = _number) -> None:
        self._words = words
        self._take = take

    def record(self, kind: type[R], values: object) -> R:
        """The `kind` that has these values. Raises TypeError, ValueError or Usage: they are not what it says."""
        if not isinstance(values, dict) or values.keys() != kind._fields.keys():
            raise TypeError(kind.__name__)
        return kind(**{name: self._value(kind._fields[name], value) for name, value in values.items()})

    def _value(self, annotation: str, value: object) -> object:
        if annotation.endswith(_OPTIONAL):
            return None if value is None else self._value(annotation.removesuffix(_OPTIONAL), value)
        if annotation.startswith(_TUPLE):
            if not isinstance(value, list):
                raise TypeError(annotation)
            inner = annotation.removeprefix(_TUPLE).removesuffix(_MANY)
            return tuple(self._value(inner, one) for one in value)
        if annotation == "Fd":
            return self._take(value)
        if annotation in _EXACT:
            return _exactly(_EXACT[annotation], value)
        if annotation == "Word":
            return _word(value)
        if annotation == "Shown":
            return _shown(value)
        known = self._words[annotation]
        if isinstance(known, type):
            return self.record(known, value)
        return known(_exactly(str, value))


def _exactly(kind: type[T], value: object) -> T:
    """Not isinstance: True is an int."""
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _shown(value: object) -> str:
    text = _exactly(str, value)
    if not text.isprintable():
        raise ValueError("a text that is not printable")
    return text


def _word(value: object) -> str:
    word = _exactly(str, value)
    if "\0" in word:
        raise ValueError("a word with a NUL")
    word.encode(errors="surrogateescape")
    return word
