"""The siege: every line of cases.tsv is tried by somebody with a valid key, on a real sshd.

Whatever is tried, this must be true: nothing was made outside of what is theirs, nothing of another principal or of
the host was shown, no interpreter spoke, and what reached the terminal is printable. What else is in the case's line:

    a number     the exit status
    refused      any status but 0; for a forwarding, ssh's own 255
    refused:N    of a batch of sftp commands, N failed
    same         the client's variable changed nothing of who it is
    shows:TEXT, lacks:TEXT
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attack.field import LEAKS, Field, decoded, laid
from tests.harness import Gateway, Result

CASES = Path(__file__).with_name("cases.tsv")


@dataclass(frozen=True)
class Case:
    """A line of cases.tsv."""

    name: str
    by: str
    sent: str
    must: str
    why: str = ""


def cases() -> list[Case]:
    rows = (line.split("\t") for line in CASES.read_text().splitlines() if line and not line.startswith("#"))
    return [Case(*row) for row in rows]


def by(kind: str) -> pytest.MarkDecorator:
    """The cases of one kind, as parameters."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases() if case.by == kind])


@pytest.fixture(scope="module")
def field(gateway: Gateway, place: Path) -> Iterator[Field]:
    with laid(gateway, place) as laid_out:
        yield laid_out


def hold(case: Case, field: Field, said: str, status: int, special: Callable[[str], bool] = lambda _: False) -> None:
    """Fail unless all is true that must be."""
    assert not list(field.pit.iterdir()), "something was made in the pit"
    assert not [leak for leak in LEAKS if leak in said], said
    for must in case.must.split(" "):
        assert required(field.filled(must), said, status) or special(field.filled(must)), (must, status, said)


def required(must: str, said: str, status: int) -> bool:
    """Whether a word of the column `must` is true; False also for one that is special to a kind of case."""
    name, _, text = must.partition(":")
    if name.isdecimal():
        return status == int(name)
    if name in ("shows", "lacks"):
        return (text.replace("_", " ") in said) is (name == "shows")
    return name == "refused" and not text and status != 0


def printable(result: Result) -> bool:
    return all(char.isprintable() or char == "\n" for char in result.err)


def test_the_siege_is_large_and_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names)) >= 150
    assert {case.by for case in cases()} == {
        *("exec", "put", "prompt", "sftp", "env", "forward"),
        *("reader", "reader-sftp", "writer", "invited", "stranger"),  # test_siege_of_members.py
        "workspace",  # test_siege_of_workspaces.py
    }


@by("exec")
def test_a_line(case: Case, field: Field) -> None:
    result = field.ssh(decoded(field.filled(case.sent)))
    hold(case, field, result.out + result.err, result.status)
    assert printable(result) or result.status == 0, result
    if result.status == 127:
        said, other = (result.out, result.err) if case.sent.startswith("scp -") else (result.err, result.out)
        assert other == ""
        assert said.lstrip("\x02").startswith("enc: ") and said.count("\n") == 1 and len(said) < 250


@by("put")
def test_by_scp(case: Case, field: Field) -> None:
    result = field.put(field.filled(case.sent))
    hold(case, field, result.out + result.err, result.status)


@by("prompt")
def test_at_the_prompt(case: Case, field: Field) -> None:
    hold(case, field, field.typed(decoded(field.filled(case.sent))), 0)


@by("sftp")
def test_by_sftp(case: Case, field: Field) -> None:
    result = field.sftp(decoded(field.filled(case.sent)))
    failed = [line for line in result.err.splitlines() if line.strip()]
    hold(case, field, result.out + result.err, result.status, lambda must: must == f"refused:{len(failed)}")
    assert not Path(field.names["void"]).exists()


@by("env")
def test_by_a_variable(case: Case, field: Field) -> None:
    result = field.whoami(decoded(field.filled(case.sent)).decode())
    me = field.attacker.fingerprint
    same = result.status == 0 and (result.json["principal"], result.json["fingerprint"]) == (me, me)
    hold(case, field, result.out + result.err, result.status, lambda must: must == "same" and same)


@by("forward")
def test_by_a_forwarding(case: Case, field: Field) -> None:
    result = field.forward(field.filled(case.sent))
    hold(case, field, result.out + result.err, result.status)
    assert "SSH-2.0" not in result.out
