"""Whether a key is still authorized: the file is edited, replaced, unreadable, behind links."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Denied, Misconfigured
from gateway.identity import authentication, authorized_keys, key_status
from gateway.identity.key_location import KeyLocation, locate
from gateway.identity.key_status import KeyStatus
from tests.unit.test_authorized_keys import CARD, ED, ONE, PIECES, TWO

LINES = {blob: f'environment="ENC_USER=team" {ED} {blob} {name}\n' for blob, name in ((ONE, "one"), (TWO, "two"))}
BOTH = "".join(LINES.values())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "authorized_keys"
    path.write_text(BOTH)
    os.utime(path)
    return path


def of(file: Path, principal: str = "team") -> KeyStatus:
    status = KeyStatus(str(file), principal)
    assert not status.missing([ONE, TWO]) and not status.is_in_doubt
    return status


def rename_over(file: Path, text: str) -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.rename(file)


EDITS: dict[str, Callable[[Path], object]] = {
    "written in place": lambda file: file.write_text(LINES[ONE]),
    "renamed over": lambda file: rename_over(file, LINES[ONE]),
    "commented out": lambda file: file.write_text(LINES[ONE] + "# " + LINES[TWO]),
    "another principal": lambda file: file.write_text(LINES[ONE] + LINES[TWO].replace("team", "mate")),
    "expired": lambda file: file.write_text(LINES[ONE] + 'expiry-time="20200101",' + LINES[TWO]),
    "no line of its own": lambda file: file.write_text(LINES[ONE] + f'command="{ED} {TWO}" {ED} {CARD}\n'),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_key_is_gone_when_it_is_gone_in_two_looks_in_a_row(file: Path, edit: Callable[[Path], object]) -> None:
    status = of(file)
    edit(file)
    assert not status.missing([ONE, TWO]) and status.is_in_doubt
    assert status.missing([ONE, TWO]) == {TWO}
    assert status.missing([ONE, TWO]) == {TWO}, "said until it does not act any more"
    assert not status.missing([ONE]) and not status.is_in_doubt


@pytest.mark.parametrize("edit", [lambda file: file.write_text(""), lambda file: file.unlink()], ids=["empty", "gone"])
def test_a_file_that_is_missing_or_empty_for_a_moment_takes_nothing_away(
    file: Path, edit: Callable[[Path], object]
) -> None:
    status = of(file)
    for _ in range(3):
        edit(file)
        assert not status.missing([ONE, TWO]) and status.is_in_doubt
        file.write_text(BOTH)
        assert not status.missing([ONE, TWO]) and not status.is_in_doubt


def test_the_second_of_the_expiry_still_counts_as_it_does_for_sshd() -> None:
    assert not authorized_keys.is_over(1000.0, 1000.9)
    assert authorized_keys.is_over(1000.0, 1001.0)
    assert authorized_keys.is_over(key_status._GONE, time.time())


def unreadable(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def circular(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


TROUBLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda file: file.unlink(), "No such file"),
    "a FIFO": (unreadable, "not a regular file"),
    "too large": (lambda file: os.truncate(file, authorized_keys.MAX_BYTES + 1), "more than 16 MiB"),
    "a loop of links": (circular, "Too many levels"),
}


@pytest.mark.parametrize(("edit", "why"), TROUBLE.values(), ids=TROUBLE)
def test_without_a_file_that_can_be_read_no_key_is_authorized(
    file: Path, edit: Callable[[Path], object], why: str
) -> None:
    status = of(file)
    edit(file)
    assert not status.missing([ONE, TWO])
    assert status.missing([ONE, TWO]) == {ONE, TWO} and why in status.trouble
    with pytest.raises(Misconfigured, match="cannot be read"):
        authorized_keys.load_key(str(file), ONE)


def test_a_file_is_read_again_while_it_could_have_changed_unseen_and_not_later(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two edits within one tick of the file system's clock can leave the size and the times as they were."""
    status = of(file)
    reads: list[str] = []
    read = authorized_keys.read_bytes

    def counted(path: str) -> bytes:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(authorized_keys, "read_bytes", counted)
    os.utime(file)
    for number in (1, 2):
        assert not status.missing([ONE, TWO]) and len(reads) == number
    time.sleep(key_status._SETTLED_SECONDS + 0.05)
    status.missing([ONE, TWO])
    for _ in range(3):
        assert not status.missing([ONE, TWO]) and len(reads) == 3
    assert not status.missing([ONE, CARD]) and len(reads) == 4, "a key that is new to it"


def test_a_place_that_is_not_there_any_more_counts_as_no_file(file: Path) -> None:
    there = True
    status = KeyStatus(str(file), "team", lambda: there)
    assert not status.missing([ONE]) and not status.is_in_doubt
    there = False
    assert not status.missing([ONE])
    assert status.missing([ONE]) == {ONE} and "replaced" in status.trouble


def test_a_wait_for_the_caller_ends_at_the_second_look(file: Path) -> None:
    fields: dict[str, object] = {"SSH_USER_AUTH": str(file.with_name("auth")), "SSH_CONNECTION": "::1 5 ::1 22"}
    file.with_name("auth").write_text(f"publickey {ED} {ONE}\n")
    caller = authentication.of_environment({**fields, "ENC_USER": "team"})  # type: ignore[dict-item]
    check = key_status.checker(str(file), caller)
    check()
    file.write_text(LINES[TWO])
    check()
    with pytest.raises(Denied, match="your key is no longer authorized"):
        check()


@given(
    st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=4).map("\n".join), st.sampled_from([ONE, TWO, CARD])
)
def test_looking_for_a_key_finds_what_parsing_everything_finds(text: str, blob: str) -> None:
    expected = tuple(entry for entry in authorized_keys.parse(text) if entry.blob == blob)
    assert authorized_keys.entries_of(text.encode(), blob) == expected


@given(st.binary(max_size=60).map(lambda junk: junk.replace(b"J", f"\n{ED} {ONE} x\n".encode())))
def test_bytes_that_are_no_text_hide_no_line(content: bytes) -> None:
    expected = tuple(entry for entry in authorized_keys.parse(content.decode(errors="replace")) if entry.blob == ONE)
    assert authorized_keys.entries_of(content, ONE) == expected
    assert authorized_keys.entries_of(content, "") == ()


# Links


def made(root: Path, *links: tuple[str, str]) -> str:
    """`etc/authorized_keys` below `root`, with these links (from, to) made before and `keys/file` as a target."""
    (root / "keys").mkdir()
    (root / "keys" / "file").write_text(BOTH)
    for at, to in links:
        (root / at).parent.mkdir(exist_ok=True, parents=True)
        (root / at).symlink_to(to.replace("ROOT", str(root)))
    if not os.path.lexists(root / "etc" / "authorized_keys"):
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / "authorized_keys").write_text(BOTH)
    return str(root / "etc" / "authorized_keys")


PLACES = [
    pytest.param([], ("etc", "authorized_keys"), [], id="a file"),
    pytest.param([("etc/authorized_keys", "other")], ("etc", "authorized_keys"), [], id="a link within its directory"),
    pytest.param(
        [("etc/authorized_keys", "now/file"), ("etc/now", "."), ("etc/file", "now/x")],
        ("etc", "authorized_keys"),
        [],
        id="several links within its directory",
    ),
    pytest.param(
        [("etc/authorized_keys", "../keys/file")], ("keys", "file"), ["etc/authorized_keys"], id="a link that leaves it"
    ),
    pytest.param(
        [("etc/authorized_keys", "ROOT/etc/file")], ("etc", "file"), ["etc/authorized_keys"], id="an absolute link"
    ),
    pytest.param(
        [("etc/authorized_keys", "../out"), ("out", "etc/back")],
        ("etc", "back"),
        ["etc/authorized_keys", "out"],
        id="out of it and back",
    ),
    pytest.param([("etc", "real")], ("real", "authorized_keys"), ["etc"], id="a link to its directory"),
    pytest.param(
        [("real/authorized_keys", "../keys/file"), ("etc", "real")],
        ("keys", "file"),
        ["etc", "real/authorized_keys"],
        id="both",
    ),
]


@pytest.mark.parametrize(("links", "place", "held"), PLACES)
def test_the_directory_that_a_session_sees_and_the_links_that_it_holds(
    tmp_path: Path, links: list[tuple[str, str]], place: tuple[str, str], held: list[str]
) -> None:
    if ("etc", "real") in links:
        (tmp_path / "real").mkdir()
    path = made(tmp_path, *links)
    directory, name = place
    found = locate(path)
    assert found == KeyLocation(
        directory=str(tmp_path / directory), name=name, links=tuple(str(tmp_path / link) for link in held)
    )
    assert os.path.realpath(os.path.join(found.directory, found.name)) == os.path.realpath(path)


def test_a_directory_that_sessions_see_as_a_whole_is_shown_as_a_whole(tmp_path: Path) -> None:
    path, shown = made(tmp_path, ("etc/enc/authorized_keys", "../common/keys")), [str(tmp_path / "etc")]
    inner = str(tmp_path / "etc" / "enc" / "authorized_keys")
    assert path != inner
    assert locate(inner, shown) == KeyLocation(directory=shown[0], name="enc/authorized_keys")
    assert locate(path, shown) == KeyLocation(directory=shown[0], name="authorized_keys")
    (tmp_path / "link").symlink_to("etc/enc")
    assert locate(str(tmp_path / "link" / "authorized_keys"), shown) == KeyLocation(
        directory=shown[0], name="enc/authorized_keys", links=(str(tmp_path / "link"),)
    )


def test_links_in_a_circle_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        locate(made(tmp_path, ("etc/authorized_keys", "a"), ("etc/a", "authorized_keys")))
