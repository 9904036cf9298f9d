"""Records: fields in order, no more and no less, equal by value, and never changed."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.base.records import Record


class Point(Record):
    x: int
    y: int = 7


class Named(Point):
    name: str

    @property
    def shown(self) -> str:
        return f"{self.name}@{self.x},{self.y}"


class Twin(Record):
    x: int
    y: int = 7


class Overriding(Point):
    x: int = 1


class Nothing(Record):
    pass


def make(kind: type[Record], **values: Any) -> Record:
    return kind(**values)


def test_has_its_fields_and_those_of_its_bases_in_order() -> None:
    named = Named(name="n", y=2, x=1)
    assert list(named.as_dict().items()) == [("x", 1), ("y", 2), ("name", "n")]
    assert (named.x, named.y, named.name, named.shown) == (1, 2, "n", "n@1,2")
    assert repr(named) == "Named(x=1, y=2, name='n')"
    assert Nothing().as_dict() == {}


def test_a_default_fills_in_and_a_subclass_may_set_one() -> None:
    assert Point(x=1).y == 7
    assert Overriding().as_dict() == {"x": 1, "y": 7}
    assert Point(x=1, y=0).y == 0


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        pytest.param(Point, {}, "field x is missing", id="nothing"),
        pytest.param(Point, {"y": 1}, "field x is missing", id="only the one with a default"),
        pytest.param(Named, {"x": 1}, "field name is missing", id="the subclass's own"),
        pytest.param(Point, {"x": 1, "z": 1}, "unknown field z", id="one too many"),
        pytest.param(Point, {"x": 1, "name": "n"}, "unknown field name", id="a subclass's"),
        pytest.param(Point, {"x": 1, "_fields": ()}, "unknown field _fields", id="an inner one"),
        pytest.param(Nothing, {"x": 1}, "unknown field x", id="one where there are none"),
    ],
)
def test_refuses_missing_and_unknown_fields(kind: type[Record], values: dict[str, object], said: str) -> None:
    with pytest.raises(TypeError, match=f"^{kind.__name__}: {said}$"):
        make(kind, **values)


def test_takes_no_positional_values() -> None:
    with pytest.raises(TypeError):
        Point(1, 2)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["x", "y", "z", "_fields", "__dict__"])
def test_cannot_be_changed(name: str) -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError, match="frozen"):
        setattr(point, name, {})
    with pytest.raises(AttributeError, match="frozen"):
        delattr(point, name)
    assert point == Point(x=1)


def test_as_dict_is_a_copy() -> None:
    point = Point(x=1)
    point.as_dict()["x"] = 2
    assert point.x == 1


def test_is_equal_to_the_same_values_of_the_same_class_only() -> None:
    assert Point(x=1) == Point(y=7, x=1)
    assert hash(Point(x=1)) == hash(Point(y=7, x=1))
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Twin(x=1)
    assert Point(x=1) != {"x": 1, "y": 7}
    assert len({Point(x=1), Point(x=1), Twin(x=1)}) == 2


def test_replace_makes_another_and_checks_it() -> None:
    point = Point(x=1)
    assert point.replace(y=3) == Point(x=1, y=3)
    assert type(Named(x=1, name="n").replace(x=2)) is Named
    assert point == Point(x=1)
    with pytest.raises(TypeError, match="unknown field z"):
        point.replace(z=1)
