"""The subset of TOML that our files use: `[table]`, `key = value`, comments; strings, integers, booleans, flat arrays.

tomllib costs 6 ms of import on every request, and does not report the line of a key, which an error about its value
needs. What this parser accepts, tomllib reads the same way (a property test checks that). It refuses everything else:
quoted keys, inline tables, arrays of tables, floats, dates, strings and arrays over several lines, integers of more
than 64 bits, and a table after one of its sub-tables.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Value: TypeAlias = str | int | bool | tuple[str, ...] | tuple[int, ...]

MAX_BYTES = 64 * 1024
MAX_PARTS = 8  # of a dotted name; the time to check a name grows with the square of their number
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_HEX = {"u": 4, "U": 8}


class PlainTomlError(ValueError):
    """The text is not in the subset: `line` (from 1), and the `reason`."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Located:
    """A value and its line."""

    __slots__ = ("line", "value")

    def __init__(self, value: Value, line: int) -> None:
        self.value = value
        self.line = line


def parse(text: str) -> dict[str, Located]:
    """All values in `text`, by full dotted name. Raises PlainTomlError."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise PlainTomlError(1, "the file is too large")
    found: dict[str, Located] = {}
    names = _Names()
    dotted: dict[str, tuple[int, str]] = {}  # the tables of dotted keys: what to say when one comes later
    prefix = ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        try:
            cursor = _Cursor(line)
            cursor.blanks()
            if cursor.peek() == "[":
                cursor.take()
                table = _key(cursor, "]")
                if table in dotted:
                    raise PlainTomlError(*dotted[table])
                names.add_table(table)
                prefix = table + "."
            elif not cursor.at_end():
                key = _key(cursor, "=")
                name = prefix + key
                names.add_key(name)
                if "." in key:
                    above, _, last = name.rpartition(".")
                    dotted.setdefault(above, (number, f"write `{last} = ...` below `[{above}]`"))
                found[name] = Located(_value(cursor), number)
            cursor.finish()
        except _SyntaxError as error:
            raise PlainTomlError(number, str(error)) from None
    return found


class _SyntaxError(Exception):
    pass


class _Cursor:
    """A line, and the position up to which it was read."""

    def __init__(self, line: str) -> None:
        if not line.isprintable():  # nearly every line is; this is much faster than a check of each character
            _check_characters(line)
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


def _check_characters(line: str) -> None:
    for char in line:
        if (char < " " and char != "\t") or char == "\x7f":
            raise _SyntaxError(f"control character U+{ord(char):04X}")
        if "\ud800" <= char <= "\udfff":
            raise _SyntaxError("not UTF-8")


class _Names:
    """The names used so far. TOML allows each name once, as a key or as a table. Sets keep a long file fast."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.tables: set[str] = set()
        self.outer: set[str] = set()  # for each `a.b.c`, its prefixes `a` and `a.b`

    def add_key(self, name: str) -> None:
        if name in self.keys:
            raise _SyntaxError("this key is set twice")
        if name in self.tables or name in self.outer:
            raise _SyntaxError("this name is both a key and a table")
        self._add_prefixes(name)
        self.keys.add(name)

    def add_table(self, name: str) -> None:
        if name in self.tables:
            raise _SyntaxError("this table appears twice")
        if name in self.keys:
            raise _SyntaxError("this name is both a key and a table")
        if name in self.outer:
            raise _SyntaxError("a table must come before its sub-tables")
        self._add_prefixes(name)
        self.tables.add(name)

    def _add_prefixes(self, name: str) -> None:
        parts = name.split(".")
        if len(parts) > MAX_PARTS:
            raise _SyntaxError(f"this name has too many parts (at most {MAX_PARTS})")
        prefixes = {".".join(parts[:count]) for count in range(1, len(parts))}
        if prefixes & self.keys:
            raise _SyntaxError("this name is both a key and a table")
        self.outer |= prefixes


def _key(cursor: _Cursor, end: str) -> str:
    """Read a bare key, which may be dotted, and the character `end` after it."""
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
    raise _SyntaxError("an array must be all strings or all integers")


def _scalar(cursor: _Cursor) -> str | int | bool:
    if cursor.peek() in ('"', "'"):
        quote = cursor.take()
        if cursor.line.startswith(quote * 2, cursor.at):
            raise _SyntaxError("a string must end on its line")
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
            raise _SyntaxError("that escape is not a character")
        return chr(code)
    if char not in _ESCAPES:
        raise _SyntaxError("unknown escape in a string")
    return _ESCAPES[char]


def _integer(word: str) -> int:
    digits = word.lstrip("+-")
    plain = digits.replace("_", "")
    is_number = plain.isdigit() and len(word) - len(digits) <= 1
    if not is_number or "__" in digits or digits[0] == "_" or digits[-1] == "_" or (plain[0] == "0" and len(plain) > 1):
        raise _SyntaxError("expected a string in quotes, a whole number, true, false or an array")
    # check the length first: int() raises ValueError beyond its own limit on digits
    if len(plain) > 19 or not -(2**63) <= (number := int(word)) < 2**63:
        raise _SyntaxError("a whole number must fit in 64 bits")
    return number


def dump(values: Mapping[str, Value]) -> str:
    """Write `values`, by full dotted name, as a text that `parse` and tomllib read back unchanged.

    Keys keep their order within a table; tables with fewer dots come first, because a table must come before its
    sub-tables. Raises ValueError for names and values that would not read back.
    """
    tables: dict[str, str] = {"": ""}
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        tables[table] = tables.get(table, f"[{table}]\n") + f"{key} = {_written(value)}\n"
    text = "\n".join(tables[table] for table in sorted(tables, key=lambda table: table.count(".")) if tables[table])
    # Reading it back replaces a second set of rules. It also refuses a name that contains a line break.
    if {name: located.value for name, located in parse(text).items()} != dict(values):
        raise ValueError("a name or value cannot be written in this subset of TOML")
    return text


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
