"""gateway.toml's table in the docs, and the file that is installed, are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from gateway import config, configdoc

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "administration.md"


def test_the_table_in_the_docs_is_that_of_the_code() -> None:
    table = configdoc.table()
    assert table in DOCUMENT.read_text(encoding="utf-8"), f"this belongs into {DOCUMENT}:\n{table}"


def test_the_installed_file_names_every_key_and_changes_none() -> None:
    text = configdoc.template()
    assert config.parse(text) == config.parse("")
    assert config.parse(re.sub(r"(?m)^#(\w)", r"\1", text)) == config.parse("")
    assert len(re.findall(r"(?m)^#\w", text)) == len(config.KEYS)
