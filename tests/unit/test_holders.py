"""To whom in a session something belongs, and the idle clocks of several holders."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identity.names import Principal
from gateway.warden.activity import SESSION, Activity, Expired, Limits, Warned
from gateway.warden.holders.holder import Holder, Who, belonging
from gateway.warden.messages import Messages


def holder(name: str, origin: str, blob: str) -> Holder:
    who = Who(principal=Principal("dev1"), role="owner", fingerprint="", blob=blob, origin=origin, connection=origin)
    return Holder(name, who, "mount", Messages("s-000000000001", lambda _event, _words: None))


HOME, WORK, TRAIN = holder("@0", "192.0.2.1:5", "A"), holder("@1", "192.0.2.2:5", "A"), holder("@2", "192.0.2.3:5", "B")


@pytest.mark.parametrize(
    ("origin", "blob", "those"),
    [
        pytest.param("192.0.2.1:5", "A", [HOME], id="of the connection"),
        pytest.param("192.0.2.1:5", "C", [HOME], id="of the connection, whatever the key"),
        pytest.param("192.0.2.2:6", "A", [WORK], id="of the key at that address"),
        pytest.param("192.0.2.9:6", "A", [HOME, WORK], id="of the key"),
        pytest.param("192.0.2.1:6", "B", [TRAIN], id="of the key, at another's address"),
        pytest.param("192.0.2.1:6", "C", [], id="of a key that holds nothing"),
        pytest.param("enc-gateway", "", [], id="of the sysadmin"),
    ],
)
def test_who_acts_belongs_to_the_nearest_holder(origin: str, blob: str, those: list[Holder]) -> None:
    assert belonging(origin, blob, [HOME, WORK, TRAIN]) == those


LIMITS = Limits(session=100, view=100, warning=10)


def clock(**last: float) -> Activity:
    """A session with holders `a` and `b`, who did something when it says."""
    made = Activity(LIMITS, 0, "one")
    for name, at in last.items():
        made.add_holder(f"@{name}", at, name)
    return made


def names(found: list[Any]) -> list[tuple[type[object], str]]:
    return [(type(one), one.name) for one in found]


def test_each_holder_is_idle_by_itself_and_is_warned_of_it() -> None:
    activity = clock(a=0, b=0)
    activity.touch(50, "command", "b", SESSION, ["@b"])
    assert names(activity.due(95)) == [(Warned, "@a")]
    assert names(activity.due(100)) == [(Expired, "@a")]
    assert activity.touch(100, "command", "a", SESSION, ["@a"]) == ["@a"], "the warning is taken back"
    assert names(activity.due(151)) == [(Expired, "@b")]


def test_what_keeps_a_view_keeps_no_holder_that_did_not_do_it() -> None:
    activity = clock(a=0, b=0)
    activity.add("work", 0, "a")
    activity.touch(90, "write", "b", "work", ["@b"])
    assert names(activity.due(101)) == [(Expired, "@a")]


def test_who_is_left_alone_is_as_idle_as_it_was() -> None:
    activity = clock(a=0, b=0)
    activity.touch(90, "command", "b", SESSION, ["@b"])
    activity.remove("@b")
    activity.remove_last_holder("@a")
    assert names(activity.due(100)) == [(Expired, SESSION)]
