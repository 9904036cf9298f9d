"""The table of gateway.toml in the docs, and the installed file, are generated from the code."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config import loader, reference, schema

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "administration.md"


def test_the_table_in_the_docs_is_that_of_the_code() -> None:
    table = reference.table()
    assert table in DOCUMENT.read_text(encoding="utf-8"), f"this belongs into {DOCUMENT}:\n{table}"


def test_the_values_that_may_be_written_are_listed() -> None:
    for key in schema.KEYS:
        assert [choice for choice in key.choices if f'"{choice}"' not in key.doc] == [], key.name


def test_the_installed_file_names_every_key_and_changes_none() -> None:
    text = reference.template()
    assert loader.parse(text) == loader.parse("")
    assert loader.parse(re.sub(r"(?m)^#(\w)", r"\1", text)) == loader.parse("")
    assert len(re.findall(r"(?m)^#\w", text)) == len(schema.KEYS)
