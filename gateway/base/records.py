"""Frozen, typed records without `dataclasses`.

Importing `dataclasses` costs 5 ms of the 16 ms that a forced command may add to a request (docs/architecture.md,
"Import cost"). A type checker sees a `Record` as a frozen, keyword-only dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_: object):
        return lambda cls: cls


class Fd(int):
    """An open descriptor. In a record it is a field like any other; an int would be taken for a number."""

    __slots__ = ()


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record:
    """The fields are the annotations of the class and its bases, in order. A class attribute is a field's default.

    `_fields` has each field's annotation as it is written (gateway.base.codec reads them).
    """

    _fields: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = {**cls._fields, **cls.__annotations__}

    def __init__(self, **values: Any) -> None:
        for name in self._fields:
            if name in values:
                self.__dict__[name] = values.pop(name)
            elif hasattr(type(self), name):
                self.__dict__[name] = getattr(type(self), name)
            else:
                raise TypeError(f"{type(self).__name__}: field {name} is missing")
        if values:
            raise TypeError(f"{type(self).__name__}: unknown field {min(values)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def as_dict(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self._fields}

    def replace(self, **changes: Any) -> Self:
        return type(self)(**{**self.as_dict(), **changes})
