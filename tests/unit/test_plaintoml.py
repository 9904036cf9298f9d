"""What plaintoml reads is what tomllib reads, what it refuses has a line, and what it writes both read back."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.base.toml import MAX_BYTES, PlainTomlError, dump, parse

if TYPE_CHECKING:
    from gateway.base.toml import Value

ACCEPTED: dict[str, tuple[str, dict[str, tuple[Value, int]]]] = {
    "nothing": ("", {}),
    "comments and blank lines": ("# a\n\n \t# é\n", {}),
    "comment after a value": ("a = 1 # b", {"a": (1, 1)}),
    "comment after a table": ("[a] # b\nc = 1", {"a.c": (1, 2)}),
    "comment character in a string": ('a = "#"', {"a": ("#", 1)}),
    "tables": ("a = 1\n[b]\nc = 2\n[d.e]\nf = 3", {"a": (1, 1), "b.c": (2, 3), "d.e.f": (3, 5)}),
    "a table below a table": ("[a]\nb = 1\n[a.c]\nd = 2", {"a.b": (1, 2), "a.c.d": (2, 4)}),
    "dotted keys": ("a.b = 1\na . c = 2", {"a.b": (1, 1), "a.c": (2, 2)}),
    "a table with nothing in it": ("[a]\n[b]", {}),
    "blanks": (" \ta\t=\t1 ", {"a": (1, 1)}),
    "blanks in a table's name": (" [ a . b ] \nc=1", {"a.b.c": (1, 2)}),
    "keys of digits and signs": ("1 = 1\n-_ = 2\ntrue = 3", {"1": (1, 1), "-_": (2, 2), "true": (3, 3)}),
    "basic string": (r'a = "\"\\\n\t\b\f\r\u00e9\U0001F642"', {"a": ('"\\\n\t\b\f\ré🙂', 1)}),
    "literal string": (r"""a = 'b\n"c"'""", {"a": (r'b\n"c"', 1)}),
    "empty strings": ("a = ''\nb = \"\"", {"a": ("", 1), "b": ("", 2)}),
    "tab in strings": ("a = '\t'\nb = \"\t\"", {"a": ("\t", 1), "b": ("\t", 2)}),
    "integers": ("a = 0\nb = -1\nc = +2\nd = 1_000\ne = -0", {
        "a": (0, 1), "b": (-1, 2), "c": (2, 3), "d": (1000, 4), "e": (0, 5)}),
    "largest integers": (f"a = {2**63 - 1}\nb = {-2**63}", {"a": (2**63 - 1, 1), "b": (-2**63, 2)}),
    "booleans": ("a = true\nb = false", {"a": (True, 1), "b": (False, 2)}),
    "arrays": ("a = []\nb = [1, 2]\nc = ['x', \"y\",]\nd = [ 1 , ]", {
        "a": ((), 1), "b": ((1, 2), 2), "c": (("x", "y"), 3), "d": ((1,), 4)}),
    "brackets and commas in strings": ("a = ['],', ']']", {"a": (("],", "]"), 1)}),
    "DOS line ends": ("[a]\r\nb = 1\r\n", {"a.b": (1, 2)}),
    "no line end": ("a = 1", {"a": (1, 1)}),
    "as large as it may be": ("#" * MAX_BYTES, {}),
}  # fmt: skip

REFUSED = {
    "no value": ("a =", 1, "expected a string"),
    "value is a comment": ("a = # b", 1, "expected a string"),
    "no equals sign": ("\na", 2, "expected ="),
    "no key": ("= 1", 1, "expected a bare key"),
    "key ends in a dot": ("a. = 1", 1, "expected a bare key"),
    "key with two dots": ("a..b = 1", 1, "expected a bare key"),
    "quoted key": ('"a" = 1', 1, "expected a bare key"),
    "key in another script": ("é = 1", 1, "expected a bare key"),
    "byte order mark": ("\ufeffa = 1", 1, "expected a bare key"),
    "key nested too deep": (".".join("abcdefghi") + " = 1", 1, "too many parts"),
    "two values": ("a = 1 2", 1, "unexpected text"),
    "text after a table": ("[a] b", 1, "unexpected text"),
    "unfinished table": ("[a", 1, "expected ]"),
    "array of tables": ("[[a]]", 1, "expected a bare key"),
    "inline table": ("a = {b = 1}", 1, "expected a string"),
    "key twice": ("a = 1\na = 2", 2, "set twice"),
    "dotted key twice": ("[a]\nb = 1\n[c]\nb = 1\n[a.d]\n[a.d]", 6, "appears twice"),
    "table twice": ("[a]\n[b]\n[a]", 3, "appears twice"),
    "table over a key": ("a = 1\n[a]", 2, "both a key and a table"),
    "table below a key": ("a = 1\n[a.b]", 2, "both a key and a table"),
    "key over a table": ("[a.b]\n[c]\nd.e = 1\nd = 1", 4, "both a key and a table"),
    "key below a key": ("a = 1\na.b = 1", 2, "both a key and a table"),
    "table after its sub-table": ("[a.b]\n[a]", 2, "before its sub-tables"),
    "table over dotted keys": ("\na.b = 1\n[a]", 2, "write `b = ...` below `[a]`"),
    "table below dotted keys": ("a.b.c = 1\n[a.b.d]\n[a.b]", 1, "write `c = ...` below `[a.b]`"),
    "open basic string": ('a = "b', 1, "not closed"),
    "open literal string": ("a = 'b", 1, "not closed"),
    "string ends in a backslash": ('a = "b\\', 1, "unknown escape"),
    "string closed by an escape": ('a = "b\\"', 1, "not closed"),
    "string of several lines": ('a = """b"""', 1, "must end on its line"),
    "literal of several lines": ("a = '''b'''", 1, "must end on its line"),
    "unknown escape": (r'a = "\x41"', 1, "unknown escape"),
    "short escape": (r'a = "\u41"', 1, "hexadecimal"),
    "escape with a sign": (r'a = "\u+041"', 1, "hexadecimal"),
    "escape is half a character": (r'a = "\ud800"', 1, "not a character"),
    "escape is beyond Unicode": (r'a = "\U00110000"', 1, "not a character"),
    "float": ("a = 1.5", 1, "unexpected text"),
    "exponent": ("a = 1e5", 1, "expected a string"),
    "infinity": ("a = inf", 1, "expected a string"),
    "hexadecimal": ("a = 0x1f", 1, "expected a string"),
    "date": ("a = 1979-05-27", 1, "expected a string"),
    "leading zero": ("a = 01", 1, "expected a string"),
    "underscore at the end": ("a = 1_", 1, "expected a string"),
    "underscore after the sign": ("a = -_1", 1, "expected a string"),
    "two underscores": ("a = 1__0", 1, "expected a string"),
    "two signs": ("a = +-1", 1, "expected a string"),
    "digits of another script": ("a = \u0661", 1, "expected a string"),
    "integer beyond 64 bits": (f"a = {2**63}", 1, "64 bits"),
    "integer beyond 64 bits, below": (f"a = {-(2**63) - 1}", 1, "64 bits"),
    "integer of very many digits": ("a = " + "9" * 5000, 1, "64 bits"),
    "capital boolean": ("a = True", 1, "expected a string"),
    "word": ("a = yes", 1, "expected a string"),
    "array over lines": ("a = [1,\n2]", 1, "expected a string"),
    "open array": ("a = [1", 1, "expected ,"),
    "array without commas": ("a = [1 2]", 1, "expected ,"),
    "array with two commas": ("a = [1,,2]", 1, "expected a string"),
    "array of a comma": ("a = [,]", 1, "expected a string"),
    "array in an array": ("a = [[1]]", 1, "expected a string"),
    "array of booleans": ("a = [true]", 1, "all strings or all integers"),
    "array of both": ("a = [1, 'b']", 1, "all strings or all integers"),
    "NUL": ("\n\na = '\0'", 3, "control character U+0000"),
    "escape character in a comment": ("# \x1b[2J", 1, "control character U+001B"),
    "delete": ("a = '\x7f'", 1, "control character U+007F"),
    "lone carriage return": ("a = 1\rb = 2", 1, "control character U+000D"),
    "not UTF-8": ("a = '\udcff'", 1, "not UTF-8"),
    "too large": ("#" * (MAX_BYTES + 1), 1, "too large"),
    "too large in bytes only": ("#" + "é" * (MAX_BYTES // 2), 1, "too large"),
}


def flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """What tomllib read, as plaintoml names it."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, tuple(value) if isinstance(value, list) else value


def typed(values: Any) -> dict[str, tuple[type, object]]:
    """With types, for 1 == True."""
    return {name: (type(value), value) for name, value in dict(values).items()}


def read(text: str) -> dict[str, Value]:
    return {name: located.value for name, located in parse(text).items()}


# Texts put together from pieces of TOML get past the first character more often than arbitrary ones.
KEYS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(".".join)
SOUND = st.sampled_from(["1", "-0", "1_0", "'x'", '"x\\u00e9"', "true", "[]", "[1, 2,]", "['a', \"b\"]", "'#' # c"])
PIECES = st.text(st.sampled_from("01_-+.,[]'\"\\ntu #=ab\t"), max_size=8)
VALUES = SOUND | PIECES | PIECES.map('"{}"'.format) | PIECES.map("[{}]".format)
TABLES = KEYS.map("[{}]".format)
TEXTS = st.one_of(
    st.lists(st.builds("{} = {}".format, KEYS, SOUND) | TABLES, max_size=4).map("\n".join),
    st.builds("{} = {}".format, KEYS, VALUES),
    st.lists(st.builds("{} = {}".format, KEYS, VALUES) | TABLES | PIECES, max_size=8).map("\n".join),
)
NAMES = st.lists(st.text("abAB01_-", min_size=1, max_size=3), min_size=1, max_size=3).map(".".join)
STRINGS = st.text(st.characters(codec="utf-8"))
SOME_VALUE: st.SearchStrategy[Value] = st.one_of(
    STRINGS, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(STRINGS, max_size=4).map(tuple)
)


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.values(), ids=ACCEPTED)
def test_reads_values_and_their_lines(text: str, expected: dict[str, tuple[Value, int]]) -> None:
    assert {name: (located.value, located.line) for name, located in parse(text).items()} == expected
    assert typed(read(text)) == typed(flat(tomllib.loads(text)))


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(PlainTomlError) as caught:
        parse(text)
    assert caught.value.line == line
    assert reason in caught.value.reason
    assert str(caught.value) == f"line {line}: {caught.value.reason}"
    assert str(caught.value).isprintable()


@given(TEXTS)
def test_reads_what_tomllib_reads(text: str) -> None:
    try:
        values = read(text)
    except PlainTomlError:
        return  # not an assume(): refused texts are many and no reason to give up
    assert typed(values) == typed(flat(tomllib.loads(text)))


@given(TEXTS | st.text(st.characters()))
def test_raises_nothing_but_its_own_error(text: str) -> None:
    try:
        parse(text)
    except PlainTomlError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert str(error).isprintable()


@given(st.dictionaries(NAMES, SOME_VALUE, max_size=8))
def test_writes_what_both_read_back(values: dict[str, Value]) -> None:
    names = set(values)
    assume(not any(other.startswith(name + ".") for name in names for other in names))
    text = dump(values)
    assert typed(read(text)) == typed(values)
    assert typed(flat(tomllib.loads(text))) == typed(values)


def test_writes_tables_in_the_order_given_and_each_once() -> None:
    values: dict[str, Value] = {"b.y": 1, "a": True, "c.d.e": ("p", 'q"'), "b.x": "\n", "c.z": -1}
    assert dump(values) == '\n'.join([
        'a = true', '', '[b]', 'y = 1', r'x = "\u000a"', '', '[c]', 'z = -1', '', '[c.d]', r'e = ["p", "q\""]', '',
    ])  # fmt: skip
    assert dump({}) == ""


@pytest.mark.parametrize(
    "values",
    [{"a": 1, "a.b": 2}, {"": 1}, {"a..b": 1}, {"é": 1}, {"a = 1\nb": 1}, {"a\n[b]\nc": 1}, {"a # b": 1}, {" a": 1},
     {"a": "\udcff"}, {"a": 2**63}, {"a": "x" * MAX_BYTES}],
)  # fmt: skip
def test_refuses_to_write_what_would_not_read_back(values: dict[str, Value]) -> None:
    with pytest.raises(ValueError):
        dump(values)


def test_work_grows_with_the_text_and_not_with_its_square() -> None:
    def calls(count: int) -> int:
        seen = 0

        def count_one(*_: object) -> None:
            nonlocal seen
            seen += 1

        text = "".join(f"[t{number:04}]\nk = 1\n" for number in range(count))
        sys.setprofile(count_one)  # calls instead of a clock: the same on every machine
        try:
            parse(text)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(2000) < 12 * calls(200)
