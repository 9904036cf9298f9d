"""What the sysadmin's tables are made of: widths, times, fingerprints, and words for every reason and event."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import errors
from gateway.admin import output
from gateway.admin.keys import known, lookup
from gateway.admin.keys.lookup import Named
from gateway.audit import program_names, query, reasons, wording
from gateway.base import clock, text
from gateway.errors import NoSuchKey, Usage
from gateway.install.files import diff, summary

CELLS = st.text(alphabet="ab-.: ", max_size=60).map(str.strip)


@example([("", "a" * 60, "b")], 40)  # a column without anything
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5), st.integers(40, 120))
def test_a_table_fits_and_loses_nothing(rows: list[tuple[str, ...]], width: int) -> None:
    lines = text.fitted(rows, width).split("\n")
    assert all(len(line) <= width for line in lines)
    assert sorted("".join(lines).replace(" ", "")) == sorted("".join(map("".join, rows)).replace(" ", ""))


def test_a_column_that_is_to_be_copied_is_not_broken() -> None:
    rows = [("s-0123456789ab", "w" * 14, "x" * 14), ("s-ba9876543210", "short", "y")]
    lines = text.fitted(rows, 40, whole=(0,)).split("\n")
    assert max(map(len, lines)) <= 40
    assert [line[:14] for line in lines if line.startswith("s-")] == ["s-0123456789ab", "s-ba9876543210"]


def test_a_table_that_fits_is_as_in_a_pipe() -> None:
    rows = [("A", "B"), ("one", "two words")]
    assert text.fitted(rows, 80) == text.columns(rows)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "at_terminal", lambda: True)


@pytest.mark.usefixtures("terminal")
def test_times_at_a_terminal_are_relative_and_later_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    for ago, said in ((0, "just now"), (59, "59 s ago"), (60, "1 min ago"), (7199, "1 h ago"), (-90, "in 1 min")):
        assert output.when(clock.utc(1_700_000_000 - ago)) == said
    assert re.fullmatch(r"2020-\d\d-\d\d \d\d:\d\d", output.when("2020-06-01T12:00:00Z"))
    assert (output.when("", "never"), output.when("nonsense")) == ("never", "nonsense")


def test_times_in_a_pipe_are_whole() -> None:
    assert output.when("2020-06-01T12:00:00Z") == "2020-06-01T12:00:00Z"


@pytest.mark.usefixtures("terminal")
def test_fingerprints_are_as_long_as_they_have_to_be() -> None:
    alike = [f"SHA256:aaaaaaaaaaaa{last}{'x' * 30}" for last in "bc"]
    prints = output.Fingerprints([*alike, "SHA256:" + "z" * 43])
    assert [prints.short(one) for one in alike] == ["SHA256:aaaaaaaaaaaab", "SHA256:aaaaaaaaaaaac"]
    assert output.Fingerprints(alike[:1]).short(alike[0]) == "SHA256:aaaaaaaa"
    assert prints.short("dev1") == "dev1"


KEYS = (
    Named(fingerprint="SHA256:" + "a" * 43, principal="dev1", label="dev1@laptop"),
    Named(fingerprint="SHA256:" + "b" * 43, principal="dev1", label="dev1@desktop"),
    Named(fingerprint="SHA256:dev1" + "c" * 39, principal="dev2", label=""),
)
NONE = NoSuchKey("no such key")


@pytest.mark.parametrize(
    ("word", "number"),
    [
        pytest.param(KEYS[0].fingerprint, 0, id="a fingerprint"),
        pytest.param("SHA256:bbbb", 1, id="its beginning"),
        pytest.param("SHA256:bbbbbbbb\u2026", 1, id="as a table shows it"),
        pytest.param("dev1@desktop", 1, id="a label"),
        pytest.param("dev2", 2, id="a principal with one key"),
        pytest.param("SHA256:", None, id="too short"),
        pytest.param("aaaa", None, id="without its kind"),
        pytest.param("", None, id="nothing: not the key without a label"),
        pytest.param("dev3", None, id="nobody"),
    ],
)
def test_a_key_is_found_by_what_names_it_alone(word: str, number: int | None) -> None:
    if number is None:
        with pytest.raises(NoSuchKey):
            lookup.find(word, KEYS, NONE)
    else:
        assert lookup.find(word, KEYS, NONE) == KEYS[number].fingerprint


def test_what_names_several_keys_names_none() -> None:
    with pytest.raises(Usage, match="dev1 names 2 keys"):
        lookup.find("dev1", KEYS, NONE)


def test_every_reason_of_the_gateway_has_words() -> None:
    slugs = {kind.slug for kind in errors.EncError.__subclasses__()} | {errors.EncError.slug}
    assert sorted(slug for slug in slugs if not reasons.for_sysadmin(slug)) == []


def test_every_event_of_the_protocol_has_words() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text().partition("## Audit records")[2]
    rows = [line.split("|")[1] for line in page.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.partition(" with ")[0])}
    assert len(named) > 25
    for event in named:
        line = f'{{"seq":1,"event":"{event}","project":"billing","reason":"denied","key_type":"x"}}'
        parsed = query.parse(line.encode())
        assert parsed is not None
        words = wording.describe(parsed)
        assert words and "key_type" not in words and "=" not in words, words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('"event":"unlocked","slot":"passphrase","kind":"passphrase"', "unlocked billing"),
        ('"event":"unlocked","slot":"key2","kind":"ssh-key"', "unlocked billing with an SSH key"),
        ('"event":"created","kinds":["passphrase"]', "created billing"),
        (
            '"event":"created","kinds":["ssh-key","recovery"]',
            "created billing, unlocked by an SSH key or a recovery code",
        ),
        (
            '"event":"slot-added","slot":"key2","kind":"ssh-key","with_slot":"passphrase","key":"SHA256:x"',
            "added an SSH key (slot key2) to billing, with passphrase",
        ),
        ('"event":"renamed","to":"invoices"', "renamed billing to invoices"),
        ('"event":"deleted","removed":"2026-01-02T03:04:05Z"', "deleted billing for good"),
    ],
)
def test_what_happens_to_the_ways_to_unlock_is_said(fields: str, words: str) -> None:
    parsed = query.parse(f'{{"seq":1,"project":"billing",{fields}}}'.encode())
    assert parsed is not None and wording.describe(parsed) == words


def test_a_change_is_one_line_without_verbose() -> None:
    assert summary(diff("/etc/x", None, "a\nb\n")) == "+ /etc/x (2 lines)"
    assert summary(diff("/etc/x", "a\n", None)) == "- /etc/x"
    assert summary(diff("/etc/x", "a\nb\n", "a\nc\n")) == "~ /etc/x (1 line added, 1 removed)"
    assert summary(diff("/etc/x", None, "")) == "+ /etc/x (0 lines)"
    assert summary("! reloaded sshd (pid 1)") == "! reloaded sshd (pid 1)"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("true", "true"),
        ("/usr/bin/true", "true"),
        ("/bin/true", "true"),
        ("/usr/bin/canary", program_names.NOT_FOUND),
        ("canary", program_names.NOT_FOUND),
        ("./canary", program_names.OF_PROJECT),
        ("bin/true", program_names.OF_PROJECT),
        ("/projects/p/true", program_names.OF_PROJECT),
        ("/usr/../projects/p/true", program_names.OF_PROJECT),
        ("/usr/bin/../bin/true", program_names.NOT_FOUND),
        ("/usr/bin", program_names.NOT_FOUND),
        ("/etc/passwd", program_names.OF_PROJECT),
        ("..", program_names.NOT_FOUND),
    ],
)
def test_only_a_program_of_the_host_has_its_name_recorded(word: str, name: str) -> None:
    assert program_names.of_host(word, ()) == name


def test_a_link_out_of_the_hosts_directories_gives_no_name(tmp_path: Path) -> None:
    tools, outside = tmp_path / "tools", tmp_path / "outside"
    tools.mkdir()
    outside.write_text("")
    (tools / "canary").symlink_to(outside)
    (tools / "compiler").write_text("")
    assert program_names.of_host(f"{tools}/canary", (str(tools),)) == program_names.NOT_FOUND
    assert program_names.of_host(f"{tools}/compiler", (str(tools),)) == "compiler"
    assert program_names.of_host(f"{tools}/compiler", ()) == program_names.OF_PROJECT


@pytest.mark.parametrize(
    ("word", "principal"),
    [
        pytest.param("dev1", "dev1", id="a principal with two keys"),
        pytest.param("dev1@desktop", "dev1", id="a label"),
        pytest.param("SHA256:bbbb", "dev1", id="the beginning of a key's fingerprint"),
        pytest.param("SHA256:zzzz", "SHA256:" + "z" * 43, id="and of one that is a principal"),
        pytest.param("dev4", "dev4", id="a principal without a key"),
        pytest.param("", None, id="nothing"),
        pytest.param("SHA256:", None, id="too short"),
        pytest.param("dev3", None, id="nobody"),
    ],
)
def test_a_principal_is_found_by_name_label_or_the_beginning_of_a_fingerprint(word: str, principal: str | None) -> None:
    everybody = (*KEYS, known.of_principal("SHA256:" + "z" * 43), known.of_principal("dev4"))
    if principal is None:
        with pytest.raises(NoSuchKey):
            lookup.find_principal(word, everybody, NONE)
    else:
        assert lookup.find_principal(word, everybody, NONE) == principal


def test_what_names_keys_of_several_principals_names_none_of_them() -> None:
    alike = tuple(Named(fingerprint=f"SHA256:alike{end * 38}", principal=f"dev{end}", label="same") for end in "12")
    for word in ("SHA256:alike", "same"):
        with pytest.raises(Usage, match="names 2 principals"):
            lookup.find_principal(word, alike, NONE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param(
            '"event":"request","verb":"mount","project":"p","decision":"deny","reason":"paused"',
            "refused: mount p: the gateway is paused",
            id="refused in a pause",
        ),
        pytest.param(
            '"event":"locked","project":"p","reason":"paused"',
            "locked p: a sysadmin paused the gateway with --lock-now",
            id="ended by a pause",
        ),
        pytest.param(
            '"event":"program-ended","program":"sftp-server","reason":"revoked"',
            "sftp-server ended: the key was revoked, or it expired",
            id="a program of no project",
        ),
        pytest.param(
            '"event":"program-ended","program":"sftp-server","project":"p","reason":"revoked"',
            "sftp-server in p ended: the key was revoked, or it expired",
            id="and one of a project",
        ),
        pytest.param(
            '"event":"egress","project":"p","decision":"allow","target":"a.test:443"',
            "a program in p reached a.test:443",
            id="a target",
        ),
        pytest.param(
            '"event":"egress","project":"p","decision":"deny","target":"b.test:443","reason":"not-listed"',
            "a program in p was refused b.test:443: run.network does not list it",
            id="a target that is refused",
        ),
        pytest.param(
            '"event":"egress","project":"p","decision":"deny","more":7,"reason":"not-recorded"',
            "a program in p was refused 7 more: the program was refused too many targets to record each",
            id="targets that are counted",
        ),
        pytest.param('"event":"backup","vaults":3,"incomplete":0', "backup: 3 projects, all complete", id="a backup"),
        pytest.param('"event":"backup","vaults":1,"incomplete":1', "backup: 1 project, 1 incomplete", id="of one"),
    ],
)
def test_a_record_is_worded_for_what_it_tells_of(fields: str, words: str) -> None:
    parsed = query.parse(f'{{"seq":1,{fields}}}'.encode())
    assert parsed is not None and wording.describe(parsed) == words
