"""Who has been idle for how long: the rules alone, on a clock of our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.warden.activity import SESSION, Activity, Expired, Limits, Warned

LIMITS = Limits(session=600, view=600, warning=60)
SHORT_VIEWS = Limits(session=600, view=100, warning=10)


def expired(activity: Activity, now: float) -> list[str]:
    return [one.name for one in activity.due(now) if isinstance(one, Expired)]


def warned(activity: Activity, now: float) -> list[Warned]:
    return [one for one in activity.due(now) if isinstance(one, Warned)]


def test_a_session_without_activity_expires_at_its_limit_and_not_before() -> None:
    activity = Activity(LIMITS, 0, "me")
    assert expired(activity, 599.9) == []
    assert expired(activity, 600) == [SESSION]


def test_a_view_expires_while_the_session_lives_on() -> None:
    activity = Activity(SHORT_VIEWS, 0, "me")
    activity.add("a", 0, "me")
    assert expired(activity, 100) == ["a"]


def test_a_view_is_kept_by_what_happens_in_it_and_not_by_what_happens_in_another() -> None:
    activity = Activity(SHORT_VIEWS, 0, "me")
    activity.add("a", 0, "me")
    activity.add("b", 0, "me")
    activity.touch(50, "write", "sftp-server", "a")
    assert expired(activity, 100) == ["b"]
    activity.remove("b")
    assert expired(activity, 149.9) == []
    assert expired(activity, 150) == ["a"]


def test_what_happens_in_a_view_keeps_the_session() -> None:
    activity = Activity(Limits(session=100, view=100, warning=10), 0, "me")
    activity.add("a", 0, "me")
    activity.touch(90, "read", "scp", "a")
    assert expired(activity, 189.9) == []
    assert expired(activity, 190) == ["a", SESSION], "views first: the lock may end the session"


@pytest.mark.parametrize("kind", ["command", "line"])
def test_what_is_said_to_the_session_keeps_no_view(kind: str) -> None:
    activity = Activity(SHORT_VIEWS, 0, "me")
    activity.add("a", 0, "me")
    activity.touch(99, kind, "me")
    assert expired(activity, 100) == ["a"]


def test_a_view_may_have_a_limit_of_its_own() -> None:
    activity = Activity(LIMITS, 0, "me")
    activity.add("a", 0, "me", limit=5)
    assert expired(activity, 5) == ["a"]


def test_unlocking_a_view_is_activity_of_the_session() -> None:
    activity = Activity(LIMITS, 0, "me")
    activity.add("a", 500, "me")
    assert expired(activity, 700) == []


def test_a_warning_comes_once_and_says_how_long_is_left() -> None:
    activity = Activity(LIMITS, 0, "me")
    assert warned(activity, 539.9) == []
    assert warned(activity, 540) == [Warned(name=SESSION, seconds=60)]
    assert warned(activity, 580) == []


def test_a_limit_shorter_than_the_warning_has_it_half_way() -> None:
    activity = Activity(Limits(session=10, view=10, warning=60), 0, "me")
    assert warned(activity, 4.9) == []
    assert warned(activity, 5) == [Warned(name=SESSION, seconds=5)]


def test_activity_takes_a_warning_back_and_says_of_whom_once() -> None:
    activity = Activity(LIMITS, 0, "me")
    activity.add("a", 0, "me")
    activity.due(540)
    assert activity.touch(550, "read", "scp", "a") == ["a", SESSION]
    assert activity.touch(551, "read", "scp", "a") == []
    assert warned(activity, 1000) == []
    assert {one.name for one in warned(activity, 1091)} == {"a", SESSION}


def test_what_keeps_the_session_alone_takes_back_its_warning_alone() -> None:
    activity = Activity(LIMITS, 0, "me")
    activity.add("a", 0, "me")
    activity.due(540)
    assert activity.touch(550, "command", "me") == [SESSION]


def test_activity_in_a_view_that_was_just_locked_keeps_the_session_and_harms_nothing() -> None:
    activity = Activity(LIMITS, 0, "me")
    activity.add("a", 0, "me")
    activity.remove("a")
    activity.remove("a")
    activity.touch(599, "write", "rsync", "a")
    assert expired(activity, 1198.9) == []


MOMENTS = st.lists(st.tuples(st.floats(0.01, 50), st.sampled_from(["", "a", "b"])), max_size=40)


@given(steps=MOMENTS, session=st.integers(1, 100), view=st.integers(1, 100), warning=st.integers(0, 100))
def test_nobody_expires_before_the_limit_nor_is_overlooked_after_it(
    steps: list[tuple[float, str]], session: int, view: int, warning: int
) -> None:
    """Whatever happens when: those that expire are those whose last activity is as long ago as their limit."""
    activity = Activity(Limits(session=session, view=view, warning=warning), 0, "me")
    last = {"": 0.0, "a": 0.0, "b": 0.0}
    limits = {"": session, "a": view, "b": view}
    for name in ("a", "b"):
        activity.add(name, 0, "me")
    now = 0.0
    for pause, name in steps:
        now += pause
        assert set(expired(activity, now)) == {one for one in last if now >= last[one] + limits[one]}
        activity.touch(now, "read", "me", name)
        last[name] = last[""] = now


@given(steps=MOMENTS, warning=st.integers(0, 100))
def test_nothing_is_due_before_next_and_something_is_at_next(steps: list[tuple[float, str]], warning: int) -> None:
    activity = Activity(Limits(session=70, view=30, warning=warning), 0, "me")
    for name in ("a", "b"):
        activity.add(name, 0, "me")
    now = 0.0
    for pause, name in steps:
        moment = activity.next()
        if now + pause < moment:
            now += pause
            assert activity.due(now) == []
            activity.touch(now, "write", "me", name)
        else:
            now = max(now, moment)
            assert activity.due(now)
