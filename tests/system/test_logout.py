"""`logout`: everything is locked when it returns."""

from __future__ import annotations

from tests.harness import Gateway, Person
from tests.life import lock_reasons, session, sessions_in_status, unlock


def test_logout_locks_the_caller_s_session_before_it_returns(gateway: Gateway, person: Person) -> None:
    person.new("left")
    person.new("right")
    with session(person) as (held, shared):
        unlock(person, "left", shared)
        unlock(person, "right", shared)
        assert person.ssh("logout", extra=shared).status == 0
        ours = [record for record in gateway.events("locked") if record["fingerprint"] == person.fingerprint]
        assert sorted((record["project"], record["reason"]) for record in ours) == [
            ("left", "logout"),
            ("right", "logout"),
        ]
        assert sessions_in_status(person) == []
        assert held.wait().status == 0
        assert "locked left: you logged out" in held.said


def test_logout_leaves_the_other_sessions_of_the_principal_alone(gateway: Gateway, person: Person) -> None:
    person.new("here")
    person.new("there")
    with person.mounted("there") as other, session(person) as (held, shared):
        unlock(person, "here", shared)
        assert person.ssh("logout", extra=shared).status == 0
        assert held.wait().status == 0
        assert other.process.poll() is None
        assert [view["project"] for one in sessions_in_status(person) for view in one["views"]] == ["there"]  # type: ignore[attr-defined]


def test_logout_all_locks_every_session_of_the_principal_and_nobody_else_s(gateway: Gateway, person: Person) -> None:
    stranger = gateway.person("stranger")
    stranger.new("a-stranger-s-own")
    for project in ("one", "two", "three"):
        person.new(project)
    with (
        stranger.mounted("a-stranger-s-own") as theirs,
        person.mounted("one") as one,
        person.mounted("two") as two,
        person.mounted("three") as three,
    ):
        result = person.ssh("logout", "--all", "--json")
        assert result.status == 0
        closed = result.json["closed"]
        assert isinstance(closed, list) and len(closed) == 3
        assert sessions_in_status(person) == []
        assert {gateway.events("locked", session=id_)[0]["reason"] for id_ in closed} == {"logout"}
        for held in (one, two, three):
            assert held.wait().status == 0
        assert theirs.process.poll() is None and not lock_reasons(gateway, "a-stranger-s-own")


def test_logout_without_a_session_says_so(person: Person) -> None:
    assert person.ssh("logout").status == 69
    assert person.ssh("logout", "--all").status == 0
