"""Hints of the gateway name commands between backticks, and as the reader types them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rshell.language.verbs import TYPED, VERBS
from rshell.terminal import output

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("rshell", "gateway/session", "gateway/vault", "gateway/limits", "gateway/warden", "gateway/identity")
"""What a front says is worded there."""
OTHERS = {"ssh", "enc-gateway", "ssh-keygen", "sftp", "scp", "rsync", "git", "sshfs", "chmod", "tar", "cp", "--", ".."}
"""What else stands between backticks."""


def texts() -> Iterator[tuple[str, str]]:
    """Each text in the code that has backticks, with {} for what is filled in; no docstrings."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inner:
                text = node.value
            if text.count("`") >= 2:
                assert isinstance(node, ast.expr)
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


TEXTS = [pytest.param(text, id=where) for where, text in texts() if "starting.py" not in where]


def test_there_are_hints() -> None:
    assert len(TEXTS) > 20


@pytest.mark.parametrize("text", TEXTS)
def test_what_stands_between_backticks_is_a_command_or_another_program(text: str) -> None:
    for quoted in re.findall(r"`([^`]*)`", text):
        first = quoted.split(" ")[0]
        assert first in VERBS or first in OTHERS or first == "{}", quoted


@pytest.fixture
def for_enc() -> Iterator[None]:
    output.name_commands_after("enc", TYPED)
    yield
    output.name_commands_after("", ())


@pytest.mark.usefixtures("for_enc")
@pytest.mark.parametrize("text", TEXTS)
def test_a_reader_of_enc_gets_each_command_with_enc_before_it(text: str) -> None:
    for quoted in re.findall(r"`([^`]*)`", output.as_typed(text)):
        assert quoted.split(" ")[0] not in TYPED, quoted
    assert output.as_typed(text).replace("`enc ", "`") == text.replace("`enc ", "`"), "and nothing else changes"


def test_another_reader_gets_them_as_they_are() -> None:
    assert output.as_typed("`mount p` unlocks it") == "`mount p` unlocks it"


@pytest.mark.usefixtures("for_enc")
def test_a_backtick_without_its_other_is_no_command() -> None:
    assert output.as_typed("it has ` and `ls") == "it has ` and `ls"
    assert output.as_typed("one `ls` and ` mount") == "one `enc ls` and ` mount"
