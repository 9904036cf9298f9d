"""Errors own their exit codes, and the table in the docs is made from them: `python -m tests.unit.test_errors`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway import errors
from gateway.errors import EncError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "exit-codes.md"

KINDS = sorted(EncError.__subclasses__(), key=lambda kind: (kind.code, kind.slug))
EACH = [pytest.param(kind, id=kind.__name__) for kind in KINDS]

SYSEXITS = {
    "usage": os.EX_USAGE,
    "damaged-vault": os.EX_DATAERR,
    "no-such-project": os.EX_NOINPUT,
    "no-such-key": os.EX_NOINPUT,
    "not-unlocked": os.EX_UNAVAILABLE,
    "internal": os.EX_SOFTWARE,
    "cannot-create": os.EX_CANTCREAT,
    "unread": os.EX_IOERR,
    "busy": os.EX_TEMPFAIL,
    "misconfigured": os.EX_TEMPFAIL,
    "wrong-secret": os.EX_NOPERM,
    "denied": os.EX_NOPERM,
    "stopped": 124,
    "not-allowed-here": 126,
    "unknown-command": 127,
}


def table() -> str:
    """The table of errors as the docs have it."""
    rows = ["| exit | name | means |", "| --- | --- | --- |"]
    for kind in KINDS:
        meaning = (kind.__doc__ or "").partition("\n")[0]
        rows.append(f"| {kind.code} | `{kind.slug}` | {meaning} |")
    return "\n".join(rows) + "\n"


def test_the_table_in_the_docs_is_that_of_the_classes() -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8"), f"this belongs into {DOCUMENT}:\n{table()}"


def test_every_error_of_the_module_is_in_the_table() -> None:
    defined = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EncError)]
    assert set(defined) - {EncError} == set(KINDS)


@pytest.mark.parametrize("kind", EACH)
def test_an_error_has_a_name_a_meaning_and_a_code_that_shells_leave_free(kind: type[EncError]) -> None:
    assert kind.slug and set(kind.slug) <= set("abcdefghijklmnopqrstuvwxyz-")
    assert kind.__doc__ and kind.__doc__.partition("\n")[0].endswith(".")
    assert 64 <= kind.code <= 78 or kind.code in (124, 126, 127, 130)


def test_no_two_errors_share_a_name() -> None:
    assert len({kind.slug for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(("slug", "code"), SYSEXITS.items(), ids=SYSEXITS)
def test_codes_are_those_of_sysexits(slug: str, code: int) -> None:
    assert [kind.code for kind in KINDS if kind.slug == slug] == [code]


@pytest.mark.parametrize(
    ("hint", "line"),
    [
        pytest.param("do that", "this is wrong; do that", id="with a hint"),
        pytest.param("", "this is wrong", id="with an empty one"),
        pytest.param(None, "this is wrong", id="with none, as strerror can be"),
    ],
)
def test_the_line_for_a_person_is_the_message_and_the_hint(hint: str | None, line: str) -> None:
    assert errors.Usage("this is wrong", hint).line() == line


def test_the_place_of_a_fault_names_type_file_and_line_but_no_message() -> None:
    try:
        os.stat("/canary/\0")
    except ValueError as fault:
        said = errors.fault_fields(fault)
    assert said["fault"] == "ValueError"
    assert said["where"].startswith("test_errors.py:")
    assert "canary" not in str(said)
    assert errors.fault_fields(ValueError("canary")) == {"fault": "ValueError", "where": ""}


if __name__ == "__main__":
    words = DOCUMENT.read_text(encoding="utf-8").partition("| exit |")[0]
    DOCUMENT.write_text(words + table(), encoding="utf-8")
