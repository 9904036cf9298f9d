"""docs/threat-model.md names a test or a case of the siege for each control: they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
TESTS = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}


def test_the_tests_that_it_names_exist() -> None:
    named = set(re.findall(r"`(?:tests/\w+/)?(test_\w+(?:\.py)?)`", TEXT))
    assert len(named) > 30
    functions = {name for text in TESTS.values() for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert named <= functions | {path.name for path in TESTS}


def test_the_cases_that_it_names_exist() -> None:
    named = set(re.findall(r"\[([^\]]+)\](?!\()", TEXT))
    assert len(named) > 20
    lines = (ROOT / "tests" / "attack" / "cases.tsv").read_text(encoding="utf-8").splitlines()
    cases = [line.split("\t")[0] for line in lines if line and not line.startswith("#")]
    assert named <= set(cases)
    assert f"holds {len(cases)} attempts" in TEXT


def test_the_files_that_it_names_exist() -> None:
    for name in re.findall(r"`((?:gateway|rshell|tests)/[\w/.]+)`", TEXT):
        assert (ROOT / name).exists(), name
