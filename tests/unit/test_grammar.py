"""The words of a line, and what is refused. What is accepted means the same to a real shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rshell.language import grammar
from rshell.language.grammar import Refused, printable, split

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = {
    "nothing": ("", ()),
    "blanks only": (" \t ", ()),
    "blanks around and between": ("  ls\t --json ", ("ls", "--json")),
    "rsync receiving": (
        "rsync --server -logDtpre.iLsfxCIvu . myproj/",
        ("rsync", "--server", "-logDtpre.iLsfxCIvu", ".", "myproj/"),
    ),
    "rsync sending, quoted name": (
        "rsync --server --sender -vlogDtpre.iLsfxCIvu . 'myproj/a b'",
        ("rsync", "--server", "--sender", "-vlogDtpre.iLsfxCIvu", ".", "myproj/a b"),
    ),
    "rsync 3.2.4 escapes by backslash": (
        r"rsync --server --log-format=%i . myproj/a\ b\*\[1\]\$x",
        ("rsync", "--server", "--log-format=%i", ".", "myproj/a b*[1]$x"),
    ),
    "scp, the old protocol": ("scp -r -t myproj/", ("scp", "-r", "-t", "myproj/")),
    "scp from OpenSSH 9 with -O": ("scp -v -f -- myproj/a", ("scp", "-v", "-f", "--", "myproj/a")),
    "sftp subsystem": ("/usr/lib/openssh/sftp-server", ("/usr/lib/openssh/sftp-server",)),
    "git": ("git-upload-pack 'myproj/repo.git'", ("git-upload-pack", "myproj/repo.git")),
    "git quotes ' and !": (r"git-upload-pack 'a'\''b'\!'c'", ("git-upload-pack", "a'b!c")),
    "a name with a space by backslash": (r"ls a\ b", ("ls", "a b")),
    "single quotes take everything": (r"""'a;&|<>()`$*?[]{}!#~\"b'""", (r"""a;&|<>()`$*?[]{}!#~\"b""",)),
    "double quotes take operators": ('"a;&|<>()*?[]{}!#~\'b"', ("a;&|<>()*?[]{}!#~'b",)),
    "double quotes escape four": (r'"\$\`\"\\"', ('$`"\\',)),
    "double quotes keep other backslashes": (r'"\a\ \;"', (r"\a\ \;",)),
    "backslash takes any one": (r"\;\&\|\<\>\(\)\`\$\*\?\[\]\{\}\!\#\~\'\"\\", (";&|<>()`$*?[]{}!#~'\"\\",)),
    "empty words": ("'' \"\"", ("", "")),
    "pieces join": ("a'b'\"c\"\\d", ("abcd",)),
    "quote ends, word goes on": ("'a b'c d", ("a bc", "d")),
    "# and ~ inside a word": ("a#b a~ ''#", ("a#b", "a~", "#")),
    "other characters": ("a=b,c:d@e%f^g+h-i_j/k.l", ("a=b,c:d@e%f^g+h-i_j/k.l",)),
    "other scripts": ("é 中文 🙂", ("é", "中文", "🙂")),
    "the other spaces are no separators": ("a\u00a0b\u3000c \u00a0 d", ("a\u00a0b\u3000c", "\u00a0", "d")),
    "line as long as it may be": ("a" * 4095 + " " + "b" * 4096, ("a" * 4095, "b" * 4096)),
    "as many words as may be": ("a " * 256, ("a",) * 256),
}

REFUSED = {
    **{f"operator {char}": (f"ab{char}c", grammar.OPERATOR, 2) for char in ";&|<>()`$*?[]{}!"},
    **{f"operator {char} alone": (f"ls {char}", grammar.OPERATOR, 3) for char in ";&|<>()`$*?[]{}!#~"},
    "comment": ("ls # all", grammar.OPERATOR, 3),
    "home": ("ls ~/x", grammar.OPERATOR, 3),
    "somebody's home": ("~root", grammar.OPERATOR, 0),
    "variable in double quotes": ('ls "a$b"', grammar.OPERATOR, 5),
    "backquote in double quotes": ('ls "\\\\`"', grammar.OPERATOR, 6),
    "operator after a quote": ("'a';b", grammar.OPERATOR, 3),
    "open single quote": ("ls 'a", grammar.UNTERMINATED, 3),
    "open double quote": ('ls "a', grammar.UNTERMINATED, 3),
    "double quote escaped at the end": ('ls "a\\"', grammar.UNTERMINATED, 3),
    "double quote ends in a backslash": ('ls "a\\', grammar.UNTERMINATED, 3),
    "backslash at the end": ("ls a\\", grammar.UNTERMINATED, 4),
    "newline": ("ls\nrm x", grammar.CONTROL, 2),
    "newline by backslash": ("ls \\\nx", grammar.CONTROL, 4),
    "newline in double quotes": ('"a\nb"', grammar.CONTROL, 2),
    "newline at the end": ("ls\n", grammar.CONTROL, 2),
    "carriage return": ("ls\r", grammar.CONTROL, 2),
    "tab in single quotes": ("ls 'a\tb'", grammar.CONTROL, 5),
    "tab in double quotes": ('ls "a\\"\tb"', grammar.CONTROL, 7),
    "tab by backslash": ("ls \\\t", grammar.CONTROL, 4),
    **{
        f"U+{ord(char):04X}, even quoted": (f"'a{char}'", grammar.CONTROL, 2)
        for char in "\0\x01\x08\x0b\x1b\x1f\x7f\x80\x85\x9b\x9f\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
        "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff"
    },
    "lone byte": ("ls \udcff", grammar.NOT_UTF8, 3),
    "lone byte in quotes": ("'\udc80'", grammar.NOT_UTF8, 1),
    "surrogate pair": ("\ud83d\ude42", grammar.NOT_UTF8, 0),
    "line too long": ("a " * 4096 + "a", grammar.LINE_TOO_LONG, 0),
    "line too long in bytes only": ("é" * 4096 + "a", grammar.LINE_TOO_LONG, 0),
    "line too long, whatever is in it": ("\0" * 8193, grammar.LINE_TOO_LONG, 0),
    "word too long": ("ls " + "a" * 4097, grammar.WORD_TOO_LONG, 3),
    "too many words": ("a " * 257, grammar.TOO_MANY_WORDS, 512),
}

DATA_AFTER, PROGRAMS = frozenset(("run",)), frozenset(("scp", "rsync", "git-upload-pack"))

DATA = {
    "a line break in quotes": ("run p -- 'a\nb'", ("run", "p", "--", "a\nb")),
    "a line break in double quotes": ('run p -- "a\nb"', ("run", "p", "--", "a\nb")),
    "tabs": ("run p -- 'a\tb'\t\\\t", ("run", "p", "--", "a\tb", "\t")),
    "bytes that are not UTF-8": ("run p -- \udcff'\udc80'", ("run", "p", "--", "\udcff\udc80")),
    "control and bidirectional characters": (
        "run p -- \x1b[".rstrip("[") + "'\u202e'",
        ("run", "p", "--", "\x1b\u202e"),
    ),
    "many words": ("run p -- " + "a " * 300, ("run", "p", "--", *("a",) * 300)),
    "a long word": ("run p -- " + "a" * 5000, ("run", "p", "--", "a" * 5000)),
    "a second --": ("run p -- -- '\n'", ("run", "p", "--", "--", "\n")),
    "scp's bytes": ("scp -t 'p/a\nb\udcff'", ("scp", "-t", "p/a\nb\udcff")),
    "rsync's line break": ("rsync . p/a\\\nb", ("rsync", ".", "p/a\nb")),
    "an exclamation mark of a program": ("scp -f p/a!", ("scp", "-f", "p/a!")),
    "home of a program": ("rsync . ~ ~/p", ("rsync", ".", "~", "~/p")),
}
NO_DATA = {
    "a line break outside quotes": ("run p -- a\nb", grammar.LINE_BREAK, 10),
    "a line break after a backslash": ("run p -- a\\\n", grammar.LINE_BREAK, 11),
    "a line break after a backslash in double quotes": ('run p -- "\\\n"', grammar.LINE_BREAK, 11),
    "NUL": ("run p -- 'a\0'", grammar.CONTROL, 11),
    "a wildcard": ("run p -- *", grammar.OPERATOR, 9),
    "a control character before it": ("run 'p\x1b' -- a", grammar.CONTROL, 6),
    "a byte before it": ("run p\udcff -- a", grammar.NOT_UTF8, 5),
    "too many words before it": ("run " + "a " * 256 + "-- b", grammar.TOO_MANY_WORDS, 514),
    "too many words": ("run -- " + "a " * 8000, grammar.TOO_MANY_WORDS, 7 + 2 * 7998),
    "a line that the kernel does not take": ("run -- " + "a" * 131072, grammar.LINE_TOO_LONG, 0),
    **{f"operator {char} of a program": (f"scp -f p{char}", grammar.OPERATOR, 8) for char in ";&|<>()`${}"},
    "a line break of scp": ("scp -f p\nid", grammar.LINE_BREAK, 8),
    "somebody's home": ("scp -f ~root", grammar.OPERATOR, 7),
    "a comment": ("scp -f #x", grammar.OPERATOR, 7),
    "another verb with a wildcard": ("ls p/*", grammar.OPERATOR, 5),
    "a verb in quotes": ("'scp' -f p/*", grammar.OPERATOR, 11),
}
PATTERNS = [
    (r"scp -f p/*.c", "p/*.c", "p/*.c"),
    (r"scp -f p/\*x*", "p/*x*", "p/[*]x*"),
    (r"scp -f 'p/[a]'?", "p/[a]?", "p/[[]a[]]?"),
    (r"rsync . p/x\ [1].c", "p/x [1].c", "p/x [1].c"),
    (r"""rsync . "p/?"[!b]""", "p/?[!b]", "p/[?][!b]"),
    (r"scp -f p/\*", "p/*", ""),
    (r"scp -f 'p/*'", "p/*", ""),
]

# Lines put together from what quoting is made of, so that most are accepted; and noise, so that few are.
PIECES = st.one_of(
    st.sampled_from(["a", "b", "é", "#", "~", " ", "\t", " ", r"\$", r"\`", r"\\", r"\'", r"\"", r"\ ", "=", ":"]),
    st.text('ab \\"$`#~;é').map("'{}'".format),
    st.text("ab '#~;é").map('"{}"'.format),
    st.sampled_from([r"\$", r"\`", r"\\", r"\"", r"\a", r"\'"]).map('"{}"'.format),
)
NOISE = st.text(st.sampled_from("ab  \t''\"\"\\\\$`#~;é\n"), max_size=24)
LINES = st.lists(PIECES, max_size=12).map("".join) | NOISE
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" \u00a0"))


@pytest.mark.parametrize(("line", "words"), ALLOWED.values(), ids=ALLOWED)
def test_splits_as_a_shell_would(line: str, words: tuple[str, ...]) -> None:
    assert split(line) == words


@pytest.mark.parametrize(("line", "reason", "where"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_reason_and_place(line: str, reason: str, where: int) -> None:
    with pytest.raises(Refused) as caught:
        split(line)
    assert (caught.value.reason, caught.value.where) == (reason, where)


@pytest.mark.parametrize(("line", "words"), DATA.values(), ids=DATA)
def test_data_and_words_of_programs_are_taken_as_they_are(line: str, words: tuple[str, ...]) -> None:
    assert split(line, DATA_AFTER, PROGRAMS) == words


@pytest.mark.parametrize(("line", "reason", "where"), NO_DATA.values(), ids=NO_DATA)
def test_refuses_among_data_what_a_shell_would_act_on(line: str, reason: str, where: int) -> None:
    with pytest.raises(Refused) as caught:
        split(line, DATA_AFTER, PROGRAMS)
    assert (caught.value.reason, caught.value.where) == (reason, where)


@pytest.mark.parametrize(("line", "text", "pattern"), PATTERNS)
def test_wildcards_of_a_program_are_a_pattern(line: str, text: str, pattern: str) -> None:
    word = split(line, DATA_AFTER, PROGRAMS)[-1]
    assert word == text
    assert (word.pattern if isinstance(word, grammar.Pattern) else "") == pattern


BYTES = st.binary(max_size=20).map(lambda some: some.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


@given(st.lists(BYTES, max_size=10), st.sampled_from(["run p -- ", "scp ", "git-upload-pack "]))
def test_reads_back_any_bytes_that_shlex_quotes(words: list[str], before: str) -> None:
    line = before + shlex.join(words)
    assert split(line, DATA_AFTER, PROGRAMS) == (*before.split(), *words)


@settings(deadline=None)
@given(LINES | NOISE)
def test_agrees_with_the_shell_on_data(line: str) -> None:
    try:
        words = split(f"run -- {line}", DATA_AFTER, PROGRAMS)[2:]
    except Refused:
        return
    script = f"set -- x {line}\nprintf '%s\\0' \"$@\""
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    assert tuple(shown.decode().split("\0")[1:-1]) == words


@given(st.lists(PRINTABLE, max_size=20))
def test_reads_back_what_shlex_quotes(words: list[str]) -> None:
    assert split(shlex.join(words)) == tuple(words)


def accepted(line: str) -> tuple[str, ...] | None:
    """The words of `line`, or None: not an assume(), for refused lines are many and no reason to give up."""
    try:
        return split(line)
    except Refused:
        return None


@given(LINES | st.text(max_size=40))
def test_agrees_with_shlex_on_what_it_accepts(line: str) -> None:
    words = accepted(line)
    if words is None or "\\$" in line or "\\`" in line:
        return  # in double quotes shlex keeps the backslash of \$ and \`; POSIX does not, and the next test shows it
    assert list(words) == shlex.split(line)


@settings(deadline=None)
@given(LINES)
def test_agrees_with_the_shell_on_what_it_accepts(line: str) -> None:
    words = accepted(line)
    if words is None:
        return
    script = f"set -- x {line}\nprintf '%s\\0' \"$@\""
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    assert tuple(shown.decode().split("\0")[1:-1]) == words


@given(LINES | st.text(st.characters(), max_size=60))
def test_raises_nothing_but_refused_and_repeats_no_input(line: str) -> None:
    try:
        words = split(line)
    except Refused as refused:
        assert 0 <= refused.where <= len(line)
        assert str(refused).isascii() and str(refused).isprintable()
        assert refused.reason in grammar.REASONS
    else:
        assert all(len(word) <= grammar.MAX_WORD for word in words)
        assert not any(ord(char) < 0x20 for word in words for char in word)


def test_says_the_place_from_one_and_of_the_input_the_operator_alone() -> None:
    with pytest.raises(Refused) as caught:
        split("ls canary; rm")
    assert str(caught.value) == "character 10 is `;`, and the gateway is no shell: put it in single quotes"


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("plain é 中", 80, "plain é 中"),
        ("\x1b[2J\n\x9b", 80, r"\x1b[2J\x0a\x9b"),
        ("a\u202eb\u2028\udcff", 80, r"a\u202eb\u2028\udcff"),
        ("\U000e0041\u200b", 80, r"\U000e0041\u200b"),
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("abc\x1b", 4, "abc…"),
        ("ab\x1bcd", 5, "ab…"),
        ("abc", 1, "…"),
    ],
)
def test_prints_safely(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


@given(st.text(st.characters()), st.integers(1, 100))
def test_printable_is_one_short_line_whatever_comes(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable() and len(shown) <= limit
    if text.isprintable() and len(text) <= limit:
        assert shown == text


@pytest.mark.parametrize("module", ["rshell.language.grammar", "gateway.base.toml"])
def test_imports_nothing_else(module: str) -> None:
    # Both are on every request's path: what they import, every request pays for.
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules); import {module}; "
        "print(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, text=True).stdout
    parts = module.split(".")
    assert set(shown.split()) == {"__future__", *(".".join(parts[: count + 1]) for count in range(len(parts)))}
