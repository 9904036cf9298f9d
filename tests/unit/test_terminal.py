"""Reading an answer: its time limit and its length limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from gateway.errors import Usage
from rshell.terminal import questions
questions.ANSWER_TIMEOUT = float(sys.argv[1])
try:
    print("answer:", questions.line("?"))
except Usage as error:
    print("usage:", error)
"""


def asked(seconds: float, *said: bytes) -> str:
    """Ask a question, answer with these pieces, send nothing more, and return what the front printed."""
    words = [sys.executable, "-c", CODE, str(seconds)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as front:
        assert front.stdin and front.stdout
        for part in said:
            front.stdin.write(part)
            front.stdin.flush()
        return front.stdout.readline().decode().strip()


def test_an_answer_is_a_line() -> None:
    assert asked(30, b"ye", b"s\nmore") == "answer: yes"


def test_a_question_that_nobody_answers_ends() -> None:
    assert asked(0.2) == asked(0.2, b"half an ans") == "usage: no answer within 0 s"


def test_an_answer_without_end_is_refused() -> None:
    assert asked(30, b"x" * 3000) == "usage: the line is longer than 2048 bytes"
