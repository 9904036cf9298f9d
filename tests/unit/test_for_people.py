"""Times, spans and mistyped words as people read them, on the gateway and in the client."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from client import output
from gateway.base import text
from gateway.identity import nearest

SPANS = [
    (0, "0 s"),
    (59, "59 s"),
    (60, "1 min"),
    (90, "1 min 30 s"),
    (3599, "59 min"),
    (3600, "1 h"),
    (7500, "2 h 5 min"),
]


@pytest.mark.parametrize(("seconds", "shown"), SPANS)
def test_a_span_is_the_same_on_both_sides(seconds: int, shown: str) -> None:
    assert text.duration(seconds) == output.duration(seconds) == shown


AGO = [(0, "just now"), (5, "5 s ago"), (60, "1 min ago"), (7300, "2 h ago")]


@pytest.mark.parametrize(("seconds", "shown"), AGO)
def test_how_long_ago_is_the_same_on_both_sides(seconds: int, shown: str) -> None:
    assert text.ago(seconds) == output.ago(seconds) == shown


def test_days_ago() -> None:
    assert (text.ago(86400), text.ago(3 * 86400)) == ("1 day ago", "3 days ago")


def test_a_moment_is_a_span_or_the_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert output.when("2001-02-03T20:05:06Z") == "2001-02-04 05:05"
        before = datetime.now(UTC) - timedelta(minutes=5, seconds=2)
        assert output.when(before.strftime("%Y-%m-%dT%H:%M:%SZ")) == "5 min ago"
        assert output.when("") == "never"
    finally:
        monkeypatch.undo()
        time.tzset()


NEAR = [
    ("mout", "mount"),
    ("unmout", "unmount"),
    ("stauts", "status"),
    ("sta", "status"),
    ("nosuch", ""),
    ("", ""),
    ("x" * 10_000, ""),
    ("un", "unmount"),
]


@pytest.mark.parametrize(("word", "meant"), NEAR)
def test_a_mistyped_word_is_recognised_if_it_is_near(word: str, meant: str) -> None:
    assert nearest.closest(word, ("mount", "unmount", "status", "session", "shell")) == meant
