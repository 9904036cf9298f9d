"""Records of sessions: what is alive is shown and never swept, what is dead is gone, and which one a channel means."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.log import AuditLog
from gateway.base import files
from gateway.errors import Busy, Misconfigured, NotUnlocked
from gateway.identity.names import Principal, ProjectName, SessionId
from gateway.session import cleanup, layout, registry
from gateway.session.registry import Session, View

DEV1, DEV2 = Principal.of("dev1"), Principal.of("dev2")
P, Q = ProjectName.of("p"), ProjectName.of("q")
FORK = multiprocessing.get_context("fork")


def session(number: int = 0, principal: Principal = DEV1, views: tuple[ProjectName, ...] = (), **more: Any) -> Session:
    return Session(
        id=SessionId.of(f"s-{number:012x}"),
        principal=principal,
        fingerprint="SHA256:x",
        address="192.0.2.7",
        port=50022,
        connection=more.get("connection", f"192.0.2.7 {50000 + number} 198.51.100.1 22"),
        anchor="mount",
        since=more.get("since", "2024-01-01T00:00:00Z"),
        pid=more.get("pid", 1 << 22),  # more than a pid can be
        views=tuple(View(project=project, since="2024-01-01T00:00:01Z") for project in views),
    )


def start(run: Path, **about: Any) -> tuple[Session, str, int]:
    """A session as a warden makes it: record, directory, and the lock that keeps it alive."""
    made = session(**about)
    id_, path, lock = registry.prepare(str(run), made.principal)
    made = made.replace(id=id_)
    registry.publish(path, made)
    return made, path, lock


def left(run: Path) -> list[str]:
    """The names in the directories of all principals."""
    return sorted(path.name for path in (run / "sessions").glob("*/*"))


def sweep(run: Path) -> int:
    return cleanup.sweep(str(run), audit(run), "a test")


def audit(run: Path) -> AuditLog:
    (run / "audit").mkdir(exist_ok=True)
    return AuditLog(str(run / "audit" / "log"))


def recorded(run: Path) -> list[dict[str, object]]:
    path = run / "audit" / "log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_record_is_read_as_it_was_written() -> None:
    for one in (session(), session(views=(P, Q)), session(principal=Principal.of_fingerprint("SHA256:" + "A" * 43))):
        assert registry.load(one.dump()) == one


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"id": "../x"}, id="an id that climbs"),
        pytest.param({"id": 1}, id="an id that is a number"),
        pytest.param({"views": [{"project": "../x", "since": ""}]}, id="a project that climbs"),
        pytest.param({"views": [{"project": "p"}]}, id="a view that lacks a field"),
        pytest.param({"views": [{"project": "p", "since": "", "pid": 1}]}, id="a view with a field too many"),
        pytest.param({"views": [{"project": "p", "since": None}]}, id="a view whose field has another type"),
        pytest.param({"views": ["p"]}, id="a view that is a string"),
        pytest.param({"views": {}}, id="views that are an object"),
        pytest.param({"principal": "a/b"}, id="a principal with a slash"),
        pytest.param({"principal": "SHA256:../x"}, id="a fingerprint that is none"),
        pytest.param({"pid": True}, id="a pid that is a truth value"),
        pytest.param({"pid": "4711"}, id="a pid that is a string"),
        pytest.param({"since": None}, id="no time"),
        pytest.param({"views": None}, id="no views"),
        pytest.param({"more": 1}, id="a field of a later version"),
    ],
)
def test_a_record_of_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        registry.load(json.dumps({**json.loads(session().dump()), **change}))


def test_a_record_of_an_older_gateway_is_of_a_session_that_nobody_can_join() -> None:
    values = json.loads(session(views=(P,)).dump())
    del values["protocol"], values["holders"]
    old = registry.load(json.dumps(values))
    assert (old.protocol, old.holders, old.has(P)) == (1, (), True)
    assert old.protocol < registry.HAS_HOLDERS
    assert old.is_anchored_on(old.connection) and old.kind_on(old.connection) == "mount"


def test_of_a_record_of_a_newer_gateway_what_is_known_is_read() -> None:
    values = json.loads(session(views=(P,)).dump())
    new = registry.load(json.dumps({**values, "protocol": registry.PROTOCOL + 1, "more": {"x": 1}}))
    assert new.has(P) and new.protocol == registry.PROTOCOL + 1
    wrong: object
    for wrong in (None, "2", True, 2.0, []):
        with pytest.raises(ValueError):
            registry.load(json.dumps({**values, "protocol": wrong}))
    with pytest.raises(ValueError):
        registry.load(json.dumps({**values, "holders": [{}]}))


def test_a_session_is_on_the_connections_of_the_channels_that_hold_it_and_of_no_session_that_keeps_it() -> None:
    holder = registry.Holder(
        principal=DEV1,
        role="owner",
        fingerprint="SHA256:x",
        address="192.0.2.7",
        port=5,
        connection="second",
        kind="mount",
        since="2024-01-01T00:00:00Z",
        via="",
        projects=(P,),
    )
    kept = holder.replace(connection="third", via="s-000000000009")
    one = session(connection="first").replace(holders=(holder, kept))
    assert [name for name in ("first", "second", "third") if one.is_anchored_on(name)] == ["second"]
    assert [name for name in ("first", "second", "third") if one.is_held_on(name, P)] == ["second", "third"]
    assert registry.load(one.dump()) == one


def test_a_record_that_lacks_a_field_is_refused() -> None:
    for name in Session._fields.keys() - {"protocol", "holders", "shared"}:
        values = json.loads(session().dump())
        del values[name]
        with pytest.raises(ValueError):
            registry.load(json.dumps(values))


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        registry.load(text)


def test_a_live_session_is_shown_and_a_dead_one_is_swept(tmp_path: Path) -> None:
    one, _, lock = start(tmp_path, views=())
    other, _, other_lock = start(tmp_path, since="2023-01-01T00:00:00Z")
    assert registry.live(str(tmp_path)) == (other, one), "oldest first"
    os.close(lock)
    assert registry.live(str(tmp_path)) == (other,)
    assert left(tmp_path) == sorted([one.id, other.id]), "a look removes nothing"
    assert sweep(tmp_path) == 1
    assert left(tmp_path) == [other.id]
    os.close(other_lock)
    assert registry.live(str(tmp_path)) == ()
    assert sweep(tmp_path) == 1
    assert left(tmp_path) == []


def test_a_session_is_swept_with_all_that_it_left(tmp_path: Path) -> None:
    _, path, lock = start(tmp_path)
    Path(path, layout.SOCKET).touch()
    os.close(lock)
    assert cleanup.bury(path, audit(tmp_path), "a test")
    assert left(tmp_path) == []
    assert cleanup.bury(path, audit(tmp_path), "a test"), "gone is gone"


def test_a_session_that_is_not_published_yet_is_neither_shown_nor_swept(tmp_path: Path) -> None:
    id_, path, lock = registry.prepare(str(tmp_path), DEV1)
    assert registry.live(str(tmp_path)) == ()
    cleanup.discard(path)
    assert sweep(tmp_path) == 0
    assert left(tmp_path) == [id_]
    os.close(lock)
    cleanup.discard(path)
    assert left(tmp_path) == [] and recorded(tmp_path) == []


def test_a_retired_session_is_no_longer_shown_and_goes_with_its_lock(tmp_path: Path) -> None:
    one, path, lock = start(tmp_path)
    registry.retire(path)
    registry.forget(path)
    assert registry.live(str(tmp_path)) == ()
    assert left(tmp_path) == [one.id]
    os.close(lock)
    sweep(tmp_path)
    assert left(tmp_path) == []
    assert recorded(tmp_path) == []


def test_a_lock_that_another_process_inherited_keeps_the_session(tmp_path: Path) -> None:
    one, path, lock = start(tmp_path)
    stop = FORK.Event()
    warden = FORK.Process(target=stop.wait)
    warden.start()
    os.close(lock)
    assert registry.live(str(tmp_path)) == (one,)
    warden.kill()
    warden.join()
    assert registry.live(str(tmp_path)) == ()
    sweep(tmp_path)
    assert not os.path.exists(path)


def test_a_record_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    one, _, lock = start(tmp_path)
    _, path, other_lock = start(tmp_path)
    for content in ("", "{", "[]", '{"id":1}'):
        Path(path, layout.RECORD).write_text(content)
        assert registry.live(str(tmp_path)) == (one,)
    os.close(lock)
    os.close(other_lock)


def test_what_is_no_session_is_left_alone(tmp_path: Path) -> None:
    for name in ("u-dev1/.new-s-000000000000", "u-dev1/NOTES", "u-dev1/" + "x" * 15, "s-000000000000", "u-../x"):
        (tmp_path / "sessions" / name).mkdir(parents=True)
        (tmp_path / "sessions" / name / "lock").touch()
    before = sorted((tmp_path / "sessions").rglob("*"))
    assert registry.live(str(tmp_path)) == ()
    assert sweep(tmp_path) == 0
    assert sorted((tmp_path / "sessions").rglob("*")) == before


def test_ids_differ_and_the_files_are_the_gateways_alone(tmp_path: Path) -> None:
    made = [start(tmp_path) for _ in range(50)]
    assert len({one.id for one, _, _ in made}) == 50
    for path in (tmp_path / "sessions").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    for _, _, lock in made:
        assert not os.get_inheritable(lock)
        os.close(lock)


def test_a_run_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(Misconfigured, match="run directory"):
        registry.live(str(tmp_path / "run"))


def _live_and_die(run: Path, until: float) -> None:
    """Sessions one after the other, each of which looks whether it is still there while it holds its lock."""
    while time.monotonic() < until:
        one, path, lock = start(run)
        for _ in range(10):
            assert os.path.exists(os.path.join(path, layout.LOCK)), "swept while its lock was held"
            assert registry.load(Path(path, layout.RECORD).read_text()) == one
        os.close(lock)


def _sweep(run: Path, stop: Event) -> None:
    while not stop.is_set():
        registry.live(str(run))
        sweep(run)


def _in_processes(run: Path, count: int, work: Callable[..., None], *arguments: object) -> list[int | None]:
    """The exit codes of `count` processes that do `work` while others sweep."""
    stop = FORK.Event()
    sweepers = [FORK.Process(target=_sweep, args=(run, stop)) for _ in range(3)]
    workers = [FORK.Process(target=work, args=arguments) for _ in range(count)]
    for process in (*sweepers, *workers):
        process.start()
    for process in workers:
        process.join(60)
    stop.set()
    for process in sweepers:
        process.join(60)
    return [process.exitcode for process in (*workers, *sweepers)]


def test_no_sweep_ever_takes_a_session_whose_lock_is_held(tmp_path: Path) -> None:
    audit(tmp_path)
    codes = _in_processes(tmp_path, 3, _live_and_die, tmp_path, time.monotonic() + 2)
    assert codes == [0] * 6
    sweep(tmp_path)
    assert left(tmp_path) == [], "and every dead one is gone"
    ends = [one["session"] for one in recorded(tmp_path)]
    assert len(set(ends)) == len(ends) > 10, "each end is recorded once"


def test_a_record_that_was_being_written_when_its_session_died_is_swept_with_it(tmp_path: Path) -> None:
    _, path, lock = registry.prepare(str(tmp_path), DEV1)
    (Path(path) / f"{files.STAGED}record.json-0badcafe").write_text('{"id": ')
    os.close(lock)
    assert sweep(tmp_path) == 1
    assert left(tmp_path) == []


def test_a_directory_that_never_became_a_session_is_swept_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = tmp_path / "sessions" / "u-dev1" / ".new-s-0123456789ab"
    draft.mkdir(parents=True)
    (draft / "lock").touch()
    sweep(tmp_path)
    assert draft.is_dir(), "somebody may be at it"
    monkeypatch.setattr(files, "ABANDONED_AFTER", -1)  # a ctime cannot be made old
    sweep(tmp_path)
    assert not draft.exists()


def test_sessions_are_their_principals_own(tmp_path: Path) -> None:
    one, _, lock = start(tmp_path)
    other, _, other_lock = start(tmp_path, principal=DEV2)
    assert registry.of_principal(str(tmp_path), DEV1) == (one,)
    assert registry.of_principal(str(tmp_path), DEV2) == (other,)
    assert registry.of_principal(str(tmp_path), Principal.of("dev3")) == ()
    os.close(lock)
    os.close(other_lock)


ONE, TWO, THREE = session(1, views=(P,)), session(2, views=(Q,)), session(3)


@pytest.mark.parametrize(
    ("mine", "connection", "found"),
    [
        pytest.param((ONE,), ONE.connection, ONE, id="the connection's own"),
        pytest.param((ONE, TWO), TWO.connection, TWO, id="the connection's own among several"),
        pytest.param((ONE,), "elsewhere", ONE, id="the only one"),
        pytest.param((THREE,), "elsewhere", THREE, id="the only one, with nothing unlocked"),
    ],
)
def test_a_channel_without_a_project_means(mine: tuple[Session, ...], connection: str, found: Session) -> None:
    assert registry.find(mine, connection) is found


def test_of_several_without_a_hint_all_are_listed() -> None:
    with pytest.raises(Busy) as caught:
        registry.find((ONE, TWO, session(3, views=(P, Q))), "elsewhere")
    said = "s-000000000001 (p), s-000000000002 (q), s-000000000003 (p q)"
    assert str(caught.value) == f"you have several sessions: {said}"


def test_of_none_nothing_is_found() -> None:
    with pytest.raises(NotUnlocked, match="nothing is unlocked"):
        registry.find((), "elsewhere")


def test_a_project_is_found_in_the_session_that_has_it() -> None:
    assert registry.with_project((ONE, TWO), P) is ONE
    assert registry.with_project((ONE, TWO), Q) is TWO
    for mine in ((), (THREE,), (TWO, THREE)):
        with pytest.raises(NotUnlocked, match="p is not unlocked"):
            registry.with_project(mine, P)


def test_a_connections_session_is_that_of_the_very_connection() -> None:
    assert registry.of_connection((ONE, TWO), TWO.connection) is TWO
    assert registry.of_connection((ONE, TWO), TWO.connection[:-1]) is None
    assert registry.of_connection((), "") is None
