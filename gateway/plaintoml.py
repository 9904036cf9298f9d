"""The part of TOML that our files use: `[table]`, `key = value`, comments; strings, integers, booleans, flat arrays.

Why not tomllib: it costs 6 ms of import on every request, and it does not tell the line of a key, which an error
about that key's value needs. Whatever is accepted here is the same to tomllib (a property test says so); everything
else is refused.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Value: TypeAlias = str | int | bool | tuple[str, ...] | tuple[int, ...]

LARGEST = 64 * 1024
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_HEX = {"u": 4, "U": 8}


class PlainTomlError(ValueError):
    """Where a text leaves the subset (`line` from 1), and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Located:
    """A value and the line it stands on."""

    __slots__ = ("line", "value")

    def __init__(self, value: Value, line: int) -> None:
        self.value = value
        self.line = line


def parse(text: str) -> dict[str, Located]:
    """Every value in `text` by its full dotted name. Raises PlainTomlError."""
    if len(text) > LARGEST:
        raise PlainTomlError(1, "the file is too large")
    found: dict[str, Located] = {}
    tables: set[str] = set()
    prefix = ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        try:
            cursor = _Cursor(line)
            cursor.blanks()
            if cursor.peek() == "[":
                prefix = _table(cursor, tables, found) + "."
            elif not cursor.at_end():
                name = prefix + _key(cursor, "=")
                _claim(name, tables, found)
                found[name] = Located(_value(cursor), number)
            cursor.finish()
        except _SyntaxError as error:
            raise PlainTomlError(number, str(error)) from None
    return found


class _SyntaxError(Exception):
    pass


class _Cursor:
    """A line, and how far it was read."""

    def __init__(self, line: str) -> None:
        if bad := next((char for char in line if (char < " " and char != "\t") or char == "\x7f"), ""):
            raise _SyntaxError(f"control character U+{ord(bad):04X}")
        if any("\ud800" <= char <= "\udfff" for char in line):
            raise _SyntaxError("not UTF-8")
        self.line = line
        self.at = 0

    def peek(self) -> str:
        return self.line[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def expect(self, char: str) -> None:
        self.blanks()
        if self.take() != char:
            raise _SyntaxError(f"expected {char}")

    def run(self, allowed: frozenset[str]) -> str:
        start = self.at
        while self.peek() and self.peek() in allowed:
            self.at += 1
        return self.line[start : self.at]

    def blanks(self) -> None:
        while self.peek() in (" ", "\t"):
            self.at += 1

    def at_end(self) -> bool:
        return self.peek() in ("", "#")

    def finish(self) -> None:
        self.blanks()
        if not self.at_end():
            raise _SyntaxError("unexpected text after the value")


def _table(cursor: _Cursor, tables: set[str], found: dict[str, Located]) -> str:
    cursor.take()
    name = _key(cursor, "]")
    if name in tables or any(key == name or name.startswith(key + ".") for key in found):
        raise _SyntaxError("this table is there already")
    if any(key.startswith(name + ".") for key in (*found, *tables)):
        raise _SyntaxError("a table goes before its sub-tables")
    tables.add(name)
    return name


def _key(cursor: _Cursor, end: str) -> str:
    """A bare key, dotted perhaps, and the character that ends it."""
    parts = []
    while True:
        cursor.blanks()
        part = cursor.run(_BARE)
        if not part:
            raise _SyntaxError("expected a bare key (A-Z, a-z, 0-9, _ and -)")
        parts.append(part)
        cursor.blanks()
        if cursor.peek() != ".":
            break
        cursor.take()
    cursor.expect(end)
    return ".".join(parts)


def _claim(name: str, tables: set[str], found: dict[str, Located]) -> None:
    if name in found:
        raise _SyntaxError("this key is there already")
    taken = (*found, *tables)
    if any(key.startswith(name + ".") or name == key for key in taken) or any(
        name.startswith(key + ".") for key in found
    ):
        raise _SyntaxError("this name is both a key and a table")


def _value(cursor: _Cursor) -> Value:
    cursor.blanks()
    if cursor.peek() == "[":
        return _array(cursor)
    return _scalar(cursor)


def _array(cursor: _Cursor) -> tuple[str, ...] | tuple[int, ...]:
    cursor.take()
    items: list[str | int | bool] = []
    while True:
        cursor.blanks()
        if cursor.peek() == "]":
            break
        items.append(_scalar(cursor))
        cursor.blanks()
        if cursor.peek() != "]":
            cursor.expect(",")
    cursor.take()
    strings = tuple(item for item in items if isinstance(item, str))
    numbers = tuple(item for item in items if type(item) is int)
    if len(strings) == len(items):
        return strings
    if len(numbers) == len(items):
        return numbers
    raise _SyntaxError("an array is all strings or all integers")


def _scalar(cursor: _Cursor) -> str | int | bool:
    if cursor.peek() in ('"', "'"):
        quote = cursor.take()
        if cursor.line.startswith(quote * 2, cursor.at):
            raise _SyntaxError("strings over several lines are not for these files")
        return _basic(cursor) if quote == '"' else _literal(cursor)
    word = cursor.run(_BARE | {"+"})
    if word in ("true", "false"):
        return word == "true"
    return _integer(word)


def _literal(cursor: _Cursor) -> str:
    end = cursor.line.find("'", cursor.at)
    if end < 0:
        raise _SyntaxError("the string is not closed")
    text = cursor.line[cursor.at : end]
    cursor.at = end + 1
    return text


def _basic(cursor: _Cursor) -> str:
    parts = []
    while (char := cursor.take()) != '"':
        if not char:
            raise _SyntaxError("the string is not closed")
        parts.append(_escape(cursor) if char == "\\" else char)
    return "".join(parts)


def _escape(cursor: _Cursor) -> str:
    char = cursor.take()
    if char in _HEX:
        digits = cursor.line[cursor.at : cursor.at + _HEX[char]]
        cursor.at += _HEX[char]
        if len(digits) != _HEX[char] or not set(digits) <= frozenset("0123456789abcdefABCDEF"):
            raise _SyntaxError("a \\u escape needs 4 hexadecimal digits, \\U needs 8")
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise _SyntaxError("that escape is no character")
        return chr(code)
    if char not in _ESCAPES:
        raise _SyntaxError("unknown escape in a string")
    return _ESCAPES[char]


def _integer(word: str) -> int:
    digits = word.lstrip("+-")
    plain = digits.replace("_", "")
    sound = plain.isascii() and plain.isdigit() and len(word) - len(digits) <= 1 and len(plain) <= 18
    if not sound or "__" in digits or digits[0] == "_" or digits[-1] == "_" or (plain[0] == "0" and len(plain) > 1):
        raise _SyntaxError("expected a string in quotes, a whole number, true, false or an array")
    return int(word.replace("_", ""))


def dump(values: Mapping[str, Value]) -> str:
    """`values`, named by full dotted names, as a text that `parse` and tomllib read back as they are."""
    lines: list[str] = []
    table = ""
    for name, value in sorted(values.items(), key=lambda item: "." in item[0]):
        own, _, key = name.rpartition(".")
        if own != table:
            lines += ["", f"[{own}]"] if lines else [f"[{own}]"]
            table = own
        lines.append(f"{key} = {_written(value)}")
    return "\n".join(lines) + "\n"


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(map(_quoted, value)) + '"'
    return "[" + ", ".join(map(_written, value)) + "]"


def _quoted(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char >= " " and char != "\x7f" else f"\\u{ord(char):04x}"
