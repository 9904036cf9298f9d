"""Names from outside: what is taken, what is refused, and that each is one safe path component of its own."""

from __future__ import annotations

import base64

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.errors import Usage
from gateway.identity.names import Name, Principal, ProjectName, SessionId, SlotName

PROJECTS = [
    pytest.param("a", id="one letter"),
    pytest.param("7", id="one digit"),
    pytest.param("my.proj_2-x", id="every kind of character"),
    pytest.param("a.b.c", id="dots inside"),
    pytest.param("a.", id="dot at the end"),
    pytest.param("a" * 63, id="as long as it may be"),
]
NO_PROJECTS = [
    pytest.param("", id="nothing"),
    pytest.param(".", id="this directory"),
    pytest.param("..", id="the parent"),
    pytest.param("a..b", id="two dots in a row"),
    pytest.param(".hidden", id="leading dot"),
    pytest.param(".new-x", id="a name of ours"),
    pytest.param("-x", id="an option"),
    pytest.param("_x", id="leading underscore"),
    pytest.param("a/b", id="slash"),
    pytest.param("../a", id="out of the directory"),
    pytest.param("a b", id="blank"),
    pytest.param(" a", id="blank before"),
    pytest.param("a\n", id="line end behind"),
    pytest.param("a\x1b[2J", id="escape sequence"),
    pytest.param("a\0", id="NUL"),
    pytest.param("Aa", id="capital"),
    pytest.param("aA", id="capital inside"),
    pytest.param("é", id="accent"),
    pytest.param("\u0430", id="another script's a"),
    pytest.param("a\u0301", id="combining accent"),
    pytest.param("a\u0661", id="another script's digit"),
    pytest.param("a\u200b", id="invisible"),
    pytest.param("\u202ea", id="written backwards"),
    pytest.param("\udcff", id="not UTF-8"),
    pytest.param("a@b", id="at sign"),
    pytest.param("a:b", id="colon"),
    pytest.param("a" * 64, id="too long"),
    pytest.param("a" * 1_000_000, id="very much too long"),
]
PRINCIPALS = [
    pytest.param("dev1", id="plain"),
    pytest.param("Dev.One_2-x@example.org", id="every kind of character"),
    pytest.param("x" * 63, id="as long as it may be"),
]
NO_PRINCIPALS = [
    pytest.param("", id="nothing"),
    pytest.param("..", id="the parent"),
    pytest.param("@x", id="leading at sign"),
    pytest.param("-x", id="an option"),
    pytest.param("a/b", id="slash"),
    pytest.param("a:b", id="colon"),
    pytest.param("SHA256:" + "A" * 43, id="a fingerprint, which only a key has"),
    pytest.param("d\u00e9v", id="accent"),
    pytest.param("a\n", id="line end behind"),
    pytest.param("x" * 64, id="too long"),
]
NO_FINGERPRINTS = [
    pytest.param("", id="nothing"),
    pytest.param("SHA256:", id="no digest"),
    pytest.param("SHA256:" + "A" * 42, id="too short"),
    pytest.param("SHA256:" + "A" * 44, id="too long"),
    pytest.param("SHA256:" + "A" * 42 + "=", id="padded"),
    pytest.param("SHA256:" + "A" * 42 + "-", id="the other base64 alphabet, so two would share a directory"),
    pytest.param("SHA256:" + "A" * 42 + "\n", id="line end behind"),
    pytest.param("SHA256:" + "A" * 42 + "\0", id="NUL"),
    pytest.param("MD5:" + "A" * 46, id="another hash"),
]

ANY_TEXT = st.text(st.characters(), max_size=80)
FINGERPRINTS = st.binary(min_size=32, max_size=32).map(
    lambda digest: "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
)
ENC_USERS = st.text("abzABZ019._-@", min_size=1, max_size=63).filter(Principal.accepts)


@pytest.mark.parametrize("text", PROJECTS)
def test_takes_a_project_name(text: str) -> None:
    assert ProjectName.of(text) == text
    assert type(ProjectName.of(text)) is ProjectName


@pytest.mark.parametrize("text", NO_PROJECTS)
@pytest.mark.parametrize("kind", [ProjectName, SlotName])
def test_refuses_what_is_no_project_or_slot_name(kind: type[Name], text: str) -> None:
    with pytest.raises(Usage):
        kind.of(text)


@pytest.mark.parametrize("text", PRINCIPALS)
def test_takes_a_principal(text: str) -> None:
    assert Principal.of(text).directory == f"u-{text}"


@pytest.mark.parametrize("text", NO_PRINCIPALS)
def test_refuses_what_is_no_principal(text: str) -> None:
    with pytest.raises(Usage):
        Principal.of(text)


@pytest.mark.parametrize("text", NO_FINGERPRINTS)
def test_refuses_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(Usage):
        Principal.of_fingerprint(text)


def test_refuses_what_is_no_session_id() -> None:
    assert SessionId.of("s-0123456789ab") == "s-0123456789ab"
    for text in ("s-0123456789abc", ".new-s-0123456789ab", "../s-01", ""):
        with pytest.raises(Usage):
            SessionId.of(text)


@pytest.mark.parametrize("kind", [ProjectName, SlotName, SessionId, Principal])
@given(ANY_TEXT)
@example("../canary")
@example("canary\x1b[2J")
def test_what_is_refused_gets_one_message_that_does_not_repeat_it(kind: type[Name], text: str) -> None:
    assume(not kind.accepts(text))
    with pytest.raises(Usage) as caught:
        kind.of(text)
    assert caught.value.line() == f"that is not a valid {kind.noun}; use {kind.rule}"
    assert caught.value.code == 64


@given(ANY_TEXT)
@example("a\n")
def test_every_name_is_safe_as_a_path_component_an_argument_and_on_a_terminal(text: str) -> None:
    for kind in (ProjectName, SlotName, SessionId, Principal):
        if kind.accepts(text):
            assert text.isascii() and text.isprintable() and 0 < len(text) <= 63
            assert not set(text) & set("/ :\\'\"$`")
            assert text[0] not in "-."


@given(FINGERPRINTS)
def test_a_fingerprint_is_a_principal_in_one_safe_path_component(fingerprint: str) -> None:
    directory = Principal.of_fingerprint(fingerprint).directory
    assert len(directory) == 45 and directory.startswith("k-")
    assert set(directory) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    # base64url has an inverse, so no two fingerprints share a directory
    assert "SHA256:" + directory[2:].replace("_", "/").replace("-", "+") == fingerprint


@given(st.lists(FINGERPRINTS | ENC_USERS, unique=True, max_size=8))
def test_no_two_principals_share_a_directory(texts: list[str]) -> None:
    principals = [Principal.of_fingerprint(text) if ":" in text else Principal.of(text) for text in texts]
    assert len({principal.directory for principal in principals}) == len(texts)
