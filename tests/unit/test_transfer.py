"""Transfers: the project of a path and the session that serves it. And what works at the prompt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.log import AuditLog
from gateway.config import loader
from gateway.errors import Busy, NoSuchProject, NotAllowedHere, NotUnlocked
from gateway.identity.authentication import Identity
from gateway.identity.names import Principal, ProjectName
from gateway.session import registry
from gateway.session.registry import Session, View
from rshell.context import Context
from rshell.front import policy
from rshell.language import command, verbs
from rshell.session import transfer

HERE, THERE = "192.0.2.7 50001 198.51.100.1 22", "192.0.2.7 50002 198.51.100.1 22"
DEV1, DEV2 = Principal.of("dev1"), Principal.of("dev2")


@pytest.mark.parametrize(
    ("path", "project"),
    [
        pytest.param("p", "p", id="the project itself"),
        pytest.param("p/", "p", id="with a slash"),
        pytest.param("p/a/b c", "p", id="below it"),
        pytest.param("./p/a", "p", id="from here"),
        pytest.param("~/p/a", "p", id="from home"),
        pytest.param("/projects/p/a", "p", id="absolute"),
        pytest.param("p/../q", "p", id="its first component counts"),
        pytest.param("p.q", "p.q", id="a dot in the name"),
        pytest.param("", None, id="nothing"),
        pytest.param(".", None, id="here"),
        pytest.param("./", None, id="here with a slash"),
        pytest.param("~", None, id="home"),
        pytest.param("..", None, id="the parent"),
        pytest.param("../p", None, id="out of here"),
        pytest.param("/", None, id="the root"),
        pytest.param("/projects", None, id="all projects"),
        pytest.param("/projects/", None, id="all projects with a slash"),
        pytest.param("/projects/../etc", None, id="out of the projects"),
        pytest.param("/etc/passwd", "etc", id="from the root, which is where the projects are"),
        pytest.param("/projectsp/x", "projectsp", id="a name that starts alike"),
        pytest.param("-e", None, id="an option"),
        pytest.param("P/x", None, id="no valid name"),
        pytest.param("p x/y", None, id="a blank in the first component"),
        pytest.param("~dev2/p", None, id="another one's home"),
    ],
)
def test_the_project_of_a_path(path: str, project: str | None) -> None:
    assert transfer.project_of(path, {}) == project


@pytest.mark.parametrize(
    ("path", "project"),
    [
        ("alice/p/x", "alice/p"),
        ("/projects/alice/p", "alice/p"),
        ("~/alice//p/", "alice/p"),
        ("alice", None),
        ("alice/", None),
        ("alice/P", None),
        ("bob/p", "bob"),
    ],
)
def test_the_project_of_a_path_that_begins_with_who_shares(path: str, project: str | None) -> None:
    assert transfer.project_of(path, {"alice": Principal("alice")}) == project


@given(st.text(st.characters()))
def test_a_project_is_a_valid_name_or_none(path: str) -> None:
    found = transfer.project_of(path, {})
    assert found is None or (type(found) is ProjectName and ProjectName.accepts(found))


class GatewayDirectories:
    """A gateway's directories, with empty vaults and live sessions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.locks: list[int] = []
        paths = {"vaults": "vaults", "run": "run", "audit": "audit", "authorized_keys": "keys"}
        lines = [f'{key} = "{root}/{name}"' for key, name in paths.items()]
        self.config = loader.parse("\n".join(["[paths]", *lines]))

    def context(self, principal: Principal = DEV1, connection: str = HERE) -> Context:
        caller = Identity(
            principal=principal,
            fingerprint="SHA256:x",
            key_type="ssh-ed25519",
            blob="",
            address="192.0.2.7",
            port=50001,
            connection=connection,
        )
        log = AuditLog(self.config.paths_audit)
        return Context(config=self.config, caller=caller, label="", audit=log, request="r", began=0.0)

    def vault(self, *names: str, principal: Principal = DEV1) -> None:
        for name in names:
            os.makedirs(os.path.join(self.context(principal).vaults_home, name))

    def session(self, *unlocked: str, principal: Principal = DEV1, connection: str = THERE) -> Session:
        id_, path, lock = registry.prepare(self.config.paths_run, principal)
        self.locks.append(lock)
        made = Session(
            id=id_,
            principal=principal,
            fingerprint="SHA256:x",
            address="192.0.2.7",
            port=50002,
            connection=connection,
            anchor="mount",
            since="2024-01-01T00:00:00Z",
            pid=1,
            views=tuple(View(project=ProjectName.of(name), since="") for name in unlocked),
        )
        registry.publish(path, made)
        return made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[GatewayDirectories]:
    made = GatewayDirectories(tmp_path)
    yield made
    for lock in made.locks:
        os.close(lock)


def test_a_path_is_served_by_the_session_that_has_its_project(place: GatewayDirectories) -> None:
    place.vault("p", "q")
    here, there = place.session("p", connection=HERE), place.session("q")
    assert transfer.session_of(place.context(), ("p/a",)) == here
    assert transfer.session_of(place.context(), ("q/a", "/projects/q")) == there


def test_a_path_without_a_project_is_served_by_the_channels_session(place: GatewayDirectories) -> None:
    there = place.session("p")
    assert transfer.session_of(place.context(), (".",)) == there
    here = place.session("q", connection=HERE)
    assert transfer.session_of(place.context(), ("/projects", "~")) == here
    place.session("r")
    with pytest.raises(Busy):
        transfer.session_of(place.context(connection="elsewhere"), (".",))


@pytest.mark.parametrize(
    ("prepare", "path", "error"),
    [
        pytest.param(lambda place: None, ".", NotUnlocked, id="nothing is there"),
        pytest.param(lambda place: None, "p/a", NoSuchProject, id="no such project"),
        pytest.param(lambda place: place.vault("p"), "p/a", NotUnlocked, id="a locked project"),
        pytest.param(lambda place: place.vault("p", principal=DEV2), "p/a", NoSuchProject, id="somebody else's"),
        pytest.param(
            lambda place: place.session("p", principal=DEV2), "p/a", NoSuchProject, id="somebody else's, unlocked"
        ),
        pytest.param(lambda place: place.session("p", principal=DEV2), ".", NotUnlocked, id="somebody else's session"),
        pytest.param(
            lambda place: (place.vault("p"), place.session("q")), "p/a", NotUnlocked, id="another one is unlocked"
        ),
    ],
)
def test_what_is_not_the_callers_or_not_unlocked_is_refused(
    place: GatewayDirectories, prepare: Callable[[GatewayDirectories], object], path: str, error: type[Exception]
) -> None:
    prepare(place)
    with pytest.raises(error):
        transfer.session_of(place.context(), (path,))


def test_every_path_must_be_in_an_unlocked_project(place: GatewayDirectories) -> None:
    place.vault("p", "q")
    place.session("p")
    for paths in (("p/a", "q/b"), ("q/b", "p/a")):
        with pytest.raises(NotUnlocked):
            transfer.session_of(place.context(), paths)


@pytest.mark.parametrize("name", verbs.VERBS)
def test_transfers_are_not_for_the_prompt_and_all_else_is(name: str) -> None:
    asked = command.Command(verb=verbs.VERBS[name], words=(name,))
    settings = loader.parse("")
    assert policy.decide(asked, False, settings) == policy.Allow()
    decision = policy.decide(asked, True, settings)
    if name in ("sftp", "scp", "rsync", "git-upload-pack", "git-receive-pack", "git-upload-archive"):
        assert isinstance(decision, policy.Deny)
        assert isinstance(decision.because, NotAllowedHere)
        assert decision.because.code == 126
    else:
        assert decision == policy.Allow()
