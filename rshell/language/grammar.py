"""The grammar of the restricted shell: split a line into words, and nothing else.

Quoting is that of POSIX shells (XCU 2.2). Blanks separate words. '...' makes every character literal. "..." does too,
but in it a backslash escapes the four characters $ ` " \\ and nothing else. Outside quotes, a backslash makes the next
character literal. There are no expansions and no operators. A character that a shell would act on is refused: its
sender did not mean it literally.

    anywhere outside quotes             ; & | < > ( ) ` $ * ? [ ] { } !
    in double quotes                    ` $
    first in a word, outside quotes     # ~

After a backslash, or in quotes that are not listed above, they are data: ssh, scp, rsync and git send names that way.

Refused everywhere, quoted or not: bytes that are not UTF-8, control characters (newlines included; a tab outside quotes
is a blank), and characters that make text look like other text (bidirectional controls, line separators,
noncharacters). A line that is accepted means the same to /bin/sh; a property test compares the two.
"""

from __future__ import annotations

MAX_LINE = 8192  # bytes of UTF-8
MAX_WORD = 4096  # characters
MAX_WORDS = 256

_OPERATORS = frozenset(";&|<>()`$*?[]{}!")
_REFUSED_FIRST = frozenset("#~")
_ESCAPED_IN_DOUBLE = frozenset('$`"\\')

NOT_UTF8 = "not-utf8"
CONTROL = "control-character"
OPERATOR = "operator"
UNTERMINATED = "unterminated-quote"
LINE_TOO_LONG = "line-too-long"
WORD_TOO_LONG = "word-too-long"
TOO_MANY_WORDS = "too-many-words"

_EXPLANATIONS = {
    NOT_UTF8: "it is not UTF-8",
    CONTROL: "it has a control character",
    OPERATOR: "it has a shell operator or expansion outside single quotes",
    UNTERMINATED: "a quote is not closed, or nothing follows a backslash",
    LINE_TOO_LONG: f"it is longer than {MAX_LINE} bytes",
    WORD_TOO_LONG: f"a word is longer than {MAX_WORD} characters",
    TOO_MANY_WORDS: f"it has more than {MAX_WORDS} words",
}
REASONS = frozenset(_EXPLANATIONS)


class Refused(ValueError):
    """The line is refused: `reason` is one of REASONS, `where` the character, from 0. The text repeats no input."""

    def __init__(self, reason: str, where: int) -> None:
        super().__init__(f"{_EXPLANATIONS[reason]} (at character {where + 1})")
        self.reason = reason
        self.where = where


def split(line: str) -> tuple[str, ...]:
    """The words of `line`, in which bytes that are not UTF-8 are surrogates (PEP 383). Raises Refused."""
    _check_characters(line)
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
            continue
        word, end = _word(line, at)
        if len(word) > MAX_WORD:
            raise Refused(WORD_TOO_LONG, at)
        if len(words) == MAX_WORDS:
            raise Refused(TOO_MANY_WORDS, at)
        words.append(word)
        at = end
    return tuple(words)


def _check_characters(line: str) -> None:
    if len(line) > MAX_LINE:  # before a loop over what may be megabytes
        raise Refused(LINE_TOO_LONG, 0)
    for at, char in enumerate(line):
        if "\ud800" <= char <= "\udfff":
            raise Refused(NOT_UTF8, at)
        if char != "\t" and _is_unsafe(char):
            raise Refused(CONTROL, at)
    if len(line.encode()) > MAX_LINE:
        raise Refused(LINE_TOO_LONG, 0)


def _word(line: str, start: int) -> tuple[str, int]:
    """The word that begins at `start`, and the position after it."""
    if line[start] in _REFUSED_FIRST:
        raise Refused(OPERATOR, start)
    parts: list[str] = []
    at = start
    while at < len(line) and line[at] not in " \t":
        char = line[at]
        if char in _OPERATORS:
            raise Refused(OPERATOR, at)
        if char == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise Refused(UNTERMINATED, at)
            parts.append(_no_tab(line, at + 1, end))
            at = end + 1
        elif char == '"':
            part, at = _double_quoted(line, at)
            parts.append(part)
        elif char == "\\":
            if at + 1 == len(line):
                raise Refused(UNTERMINATED, at)
            parts.append(_no_tab(line, at + 1, at + 2))
            at += 2
        else:
            parts.append(char)
            at += 1
    return "".join(parts), at


def _double_quoted(line: str, start: int) -> tuple[str, int]:
    """The content of the double quotes that open at `start`, and the position after the closing one."""
    parts: list[str] = []
    at = start + 1
    while at < len(line):
        char = line[at]
        if char == '"':
            return "".join(parts), at + 1
        if char == "\\" and line[at + 1 : at + 2] in _ESCAPED_IN_DOUBLE:
            at += 1
            char = line[at]
        elif char in "`$":
            raise Refused(OPERATOR, at)
        elif char == "\t":
            raise Refused(CONTROL, at)
        parts.append(char)
        at += 1
    raise Refused(UNTERMINATED, start)


def _no_tab(line: str, start: int, end: int) -> str:
    """`line[start:end]`. Raises Refused for a tab: a word that has one would have a control character."""
    if "\t" in line[start:end]:
        raise Refused(CONTROL, line.index("\t", start))
    return line[start:end]


def _is_unsafe(char: str) -> bool:
    code = ord(char)
    return (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0xD800 <= code <= 0xDFFF
        or code in (0x61C, 0x200E, 0x200F, 0x2028, 0x2029)
        or 0x202A <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )


def printable(text: str, limit: int = 80) -> str:
    """`text` as one line that is safe for a terminal, in at most `limit` characters (1 or more)."""
    pieces = [_escape(char) if _is_unsafe(char) or not char.isprintable() else char for char in text[: limit + 1]]
    shown = "".join(pieces)
    if len(shown) <= limit:
        return shown
    while len(shown) >= limit:  # by whole escapes: half of one would show another character
        shown = shown[: -len(pieces.pop())]
    return shown + "…"


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
