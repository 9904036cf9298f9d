"""Records as JSON: what is read is what was written, of the types that the annotations name, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base import codec
from gateway.base.codec import Word
from gateway.base.records import Fd, Record
from gateway.identity.names import ProjectName


class Inner(Record):
    number: int
    project: ProjectName


class Outer(Record):
    text: str
    number: int
    truth: bool
    fraction: float
    fd: Fd
    words: tuple[Word, ...]
    inner: Inner
    maybe: Inner | None
    maybe_fd: Fd | None
    several: tuple[Inner, ...]
    holes: tuple[int | None, ...]


class Later(Outer):
    text: str = "by default"
    more: int = 1


class Odd(Record):
    field: dict[str, int]


WORDS: codec.Words = {"ProjectName": ProjectName.of, "Inner": Inner}

FDS = st.integers(0, 1 << 31).map(Fd)
INNERS = st.builds(Inner, number=st.integers(), project=st.sampled_from(["p", "a-b"]).map(ProjectName))
OUTERS = st.builds(
    Outer,
    text=st.text(),
    number=st.integers(),
    truth=st.booleans(),
    fraction=st.floats(allow_nan=False, allow_infinity=False),
    fd=FDS,
    words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))).map(tuple),
    inner=INNERS,
    maybe=st.none() | INNERS,
    maybe_fd=st.none() | FDS,
    several=st.lists(INNERS).map(tuple),
    holes=st.lists(st.none() | st.integers()).map(tuple),
)
OUTER = Outer(
    text="t",
    number=1,
    truth=False,
    fraction=0.5,
    fd=Fd(3),
    words=("a", "b"),
    inner=Inner(number=1, project=ProjectName("p")),
    maybe=Inner(number=2, project=ProjectName("q")),
    maybe_fd=Fd(4),
    several=(),
    holes=(None, 1),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def changed(**changes: object) -> str:
    return json.dumps({**json.loads(codec.dumps(OUTER)), **changes})


def types(value: object) -> object:
    """The types of all that is in a value."""
    if isinstance(value, Record):
        return type(value), {name: types(field) for name, field in value.as_dict().items()}
    return (tuple, *map(types, value)) if isinstance(value, tuple) else type(value)


@given(OUTERS)
def test_what_is_read_is_what_was_written(outer: Outer) -> None:
    got = codec.loads(Outer, codec.dumps(outer), WORDS)
    assert got == outer
    assert types(got) == types(outer)


@given(st.dictionaries(st.sampled_from([*Outer._fields, "x"]), JSON, max_size=3))
def test_whatever_is_read_has_the_types_of_its_fields_or_is_refused(changes: dict[str, object]) -> None:
    try:
        got = codec.loads(Outer, changed(**changes), WORDS)
    except ValueError:
        return
    assert json.loads(codec.dumps(got)) == json.loads(changed(**changes))
    kinds = {"text": str, "number": int, "truth": bool, "fraction": float, "fd": Fd, "inner": Inner, "several": tuple}
    assert {name: type(getattr(got, name)) for name in kinds} == kinds


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"x": 1}, id="an unknown field"),
        pytest.param({"text": 1}, id="a text that is a number"),
        pytest.param({"number": True}, id="a number that is a truth value"),
        pytest.param({"number": 1.0}, id="a number with a fraction"),
        pytest.param({"truth": 1}, id="a truth value that is a number"),
        pytest.param({"fraction": 1}, id="a fraction that is a whole number"),
        pytest.param({"fd": -1}, id="a descriptor below zero"),
        pytest.param({"fd": True}, id="a descriptor that is a truth value"),
        pytest.param({"fd": None}, id="no descriptor where one is needed"),
        pytest.param({"words": ["a\0"]}, id="a word with a NUL"),
        pytest.param({"words": ["\ud800"]}, id="a word that is neither text nor bytes"),
        pytest.param({"words": "ab"}, id="words that are a string"),
        pytest.param({"inner": {"number": 1}}, id="a nested record that lacks a field"),
        pytest.param({"inner": {"number": 1, "project": "p", "x": 1}}, id="a nested record with a field too many"),
        pytest.param({"inner": {"number": 1, "project": "../p"}}, id="a nested name that climbs"),
        pytest.param({"inner": {"number": 1, "project": ["p"]}}, id="a nested name that is a list"),
        pytest.param({"inner": None}, id="no record where one is needed"),
        pytest.param({"several": [{"number": 1, "project": "p"}, None]}, id="null among records"),
        pytest.param({"holes": ["1"]}, id="a string among numbers"),
    ],
)
def test_refuses(change: dict[str, object]) -> None:
    assert codec.loads(Outer, changed(), WORDS) == OUTER
    with pytest.raises(ValueError, match=r"^not a Outer$|NUL|surrogates"):
        codec.loads(Outer, changed(**change), WORDS)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "{", "[" * 100_000, "\ud800"])
def test_refuses_what_is_no_object_with_these_fields(text: str) -> None:
    with pytest.raises(ValueError):
        codec.loads(Outer, text, WORDS)


def test_a_default_is_for_who_makes_a_record_and_not_for_who_reads_one() -> None:
    written = {**json.loads(codec.dumps(OUTER)), "more": 2}
    assert codec.loads(Later, json.dumps(written), WORDS).as_dict() == {**OUTER.as_dict(), "more": 2}
    for name in ("text", "more"):
        with pytest.raises(ValueError):
            codec.loads(Later, json.dumps({key: value for key, value in written.items() if key != name}), WORDS)


def test_an_annotation_that_the_table_lacks_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        codec.loads(Odd, '{"field": {}}', WORDS)


def test_descriptors_are_those_of_nested_records_too() -> None:
    assert codec.descriptors(OUTER) == [3, 4]
    assert codec.descriptors(OUTER.inner) == []
