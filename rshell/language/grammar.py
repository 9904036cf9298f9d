"""The grammar of the restricted shell: split a line into words, and nothing else.

Quoting is that of POSIX shells (XCU 2.2). Blanks separate words. '...' makes every character literal. "..." does too,
but in it a backslash escapes the four characters $ ` " \\ and nothing else. Outside quotes, a backslash makes the next
character literal. There are no expansions and no operators. A character that a shell would act on is refused: its
sender did not mean it literally.

    anywhere outside quotes             ; & | < > ( ) ` $ * ? [ ] { } !
    in double quotes                    ` $
    first in a word, outside quotes     # ~

After a backslash, or in quotes that are not listed above, they are data: ssh, scp, rsync and git send names that way.

There are three kinds of words.

- Words that people type. Refused everywhere, quoted or not: bytes that are not UTF-8, control characters (newlines
  included; a tab outside quotes is a blank), and characters that make text look like other text (bidirectional
  controls, line separators, noncharacters).
- Data: the words after `--` of a verb in `data_after`. They may have any byte but NUL. A line break outside quotes, and
  one after a backslash, is refused: to a shell it would end the command, or be nothing.
- Words that programs write: lines whose verb is in `programs`. As data; but ! is literal, ~ at the start is literal in
  front of a slash or at the end of the word, a line break after a backslash is one (rsync writes it so, and a shell
  would drop it), and * ? [ ] outside quotes make the word a `Pattern`. Whoever runs the program finds its files, in the
  sandbox (gateway.sandbox.inside.globbing). No shell does.

But for patterns, a line that is accepted means the same to /bin/sh; a property test compares the two.
"""

from __future__ import annotations

MAX_LINE = 8192  # bytes of UTF-8, of a line that a person types
MAX_WORD = 4096  # characters
MAX_WORDS = 256

MAX_DATA_LINE = 128 * 1024
"""Bytes of a line with data, or from a program. sshd hands us the line in one environment variable, and the kernel
takes no longer one (MAX_ARG_STRLEN, execve(2)).
"""
MAX_DATA_WORDS = 8_000
"""bubblewrap takes 9,000 words with its own."""

_OPERATORS = frozenset(";&|<>()`$*?[]{}!")
_GLOB = frozenset("*?[]")
_LITERAL_FOR_PROGRAMS = frozenset("*?[]!")
_REFUSED_FIRST = frozenset("#~")
_ESCAPED_IN_DOUBLE = frozenset('$`"\\')

NOT_UTF8 = "not-utf8"
CONTROL = "control-character"
LINE_BREAK = "line-break"
OPERATOR = "operator"
UNTERMINATED = "unterminated-quote"
LINE_TOO_LONG = "line-too-long"
WORD_TOO_LONG = "word-too-long"
TOO_MANY_WORDS = "too-many-words"

_EXPLANATIONS = {
    NOT_UTF8: "it is not UTF-8",
    CONTROL: "it has a control character",
    LINE_BREAK: "it has a line break outside quotes",
    OPERATOR: "the gateway is no shell: put it in single quotes",
    UNTERMINATED: "a quote is not closed, or nothing follows a backslash",
    LINE_TOO_LONG: f"it is longer than {MAX_LINE} bytes",
    WORD_TOO_LONG: f"a word is longer than {MAX_WORD} characters",
    TOO_MANY_WORDS: f"it has more than {MAX_WORDS} words",
}
REASONS = frozenset(_EXPLANATIONS)


class Refused(ValueError):
    """The line is refused: `reason` is one of REASONS, `where` the character, from 0. Of the input, the text repeats
    the `operator` alone.
    """

    def __init__(self, reason: str, where: int, explanation: str = "", operator: str = "") -> None:
        words = explanation or _EXPLANATIONS[reason]
        shown = "a backtick" if operator == "`" else f"`{operator}`"
        text = f"character {where + 1} is {shown}, and {words}" if operator else f"{words} (at character {where + 1})"
        super().__init__(text)
        self.reason = reason
        self.where = where


class Pattern(str):
    """A word with wildcards, as it was written but for quoting. `pattern` is what to match: what was quoted stands in
    brackets there ("[*]" for a literal asterisk), as fnmatch(3) in Python has no backslash.
    """

    pattern: str

    @classmethod
    def of(cls, text: str, pattern: str) -> Pattern:
        made = cls(text)
        made.pattern = pattern
        return made


def split(
    line: str, data_after: frozenset[str] = frozenset(), programs: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """The words of `line`, in which bytes that are not UTF-8 are surrogates (PEP 383). Raises Refused."""
    verb = line[: MAX_LINE + 1].replace("\t", " ").lstrip(" ").partition(" ")[0]
    is_program, may_have_data = verb in programs, verb in data_after
    if is_program or may_have_data:
        _check_size(line, MAX_DATA_LINE, f"it is longer than {MAX_DATA_LINE} bytes")
    else:
        _check_size(line, MAX_LINE)
        _check_characters(line, 0, len(line))
    words: list[str] = []
    at, is_data = 0, is_program
    while at < len(line):
        if line[at] in " \t":
            at += 1
            continue
        word, end = _word(line, at, is_data, is_program)
        if is_data:
            if len(words) == MAX_DATA_WORDS:
                raise Refused(TOO_MANY_WORDS, at, f"it has more than {MAX_DATA_WORDS} words")
        else:
            _check_characters(line, at, end)
            if len(word) > MAX_WORD:
                raise Refused(WORD_TOO_LONG, at)
            if len(words) == MAX_WORDS:
                raise Refused(TOO_MANY_WORDS, at)
        words.append(word)
        is_data = is_data or (may_have_data and word == "--")
        at = end
    return tuple(words)


def _check_size(line: str, limit: int, explanation: str = "") -> None:
    # the number of characters first: a loop over what may be megabytes
    if len(line) > limit or len(line.encode(errors="surrogatepass")) > limit:
        raise Refused(LINE_TOO_LONG, 0, explanation)


def _check_characters(line: str, start: int, end: int) -> None:
    for at in range(start, end):
        char = line[at]
        if "\ud800" <= char <= "\udfff":
            raise Refused(NOT_UTF8, at)
        if char != "\t" and _is_unsafe(char):
            raise Refused(CONTROL, at)


def _word(line: str, start: int, is_data: bool, is_program: bool) -> tuple[str, int]:
    """The word that begins at `start`, and the position after it."""
    if line[start] in _REFUSED_FIRST and not (is_program and _is_home(line, start)):
        raise Refused(OPERATOR, start, operator=line[start])
    parts: list[str] = []
    matched: list[str] = []  # the same as a pattern
    at, is_pattern = start, False
    while at < len(line) and line[at] not in " \t":
        char, begin = line[at], at
        if char in _OPERATORS and not (is_program and char in _LITERAL_FOR_PROGRAMS):
            raise Refused(OPERATOR, at, operator=char)
        if char == "\n":
            raise Refused(LINE_BREAK if is_data else CONTROL, at)
        if char == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise Refused(UNTERMINATED, at)
            part, at = _literal(line, at + 1, end, is_data), end + 1
        elif char == '"':
            part, at = _double_quoted(line, at, is_data)
        elif char == "\\":
            if at + 1 == len(line):
                raise Refused(UNTERMINATED, at)
            if line[at + 1] == "\n" and not is_program:
                raise Refused(LINE_BREAK if is_data else CONTROL, at + 1)
            part, at = _literal(line, at + 1, at + 2, is_data), at + 2
        else:
            part, at = char, at + 1
        parts.append(part)
        is_pattern = is_pattern or char in _GLOB
        matched.append(part if at == begin + 1 else _escaped(part))
    text = "".join(parts)
    return (Pattern.of(text, "".join(matched)) if is_pattern else text), at


def _is_home(line: str, at: int) -> bool:
    """Whether a ~ stands for the caller's home: alone, or before a slash."""
    return line[at] == "~" and line[at + 1 : at + 2] in ("", "/", " ", "\t")


def _escaped(part: str) -> str:
    return "".join(f"[{char}]" if char in _GLOB else char for char in part)


def _double_quoted(line: str, start: int, is_data: bool) -> tuple[str, int]:
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
            raise Refused(OPERATOR, at, operator=char)
        elif char == "\\" and line[at + 1 : at + 2] == "\n":
            raise Refused(LINE_BREAK if is_data else CONTROL, at + 1)
        parts.append(_literal(line, at, at + 1, is_data))
        at += 1
    raise Refused(UNTERMINATED, start)


def _literal(line: str, start: int, end: int, is_data: bool) -> str:
    """`line[start:end]`. Raises Refused for a NUL; and for a tab, unless it is data: such a word would have a control
    character.
    """
    for refused in ("\0",) if is_data else ("\0", "\t"):
        if refused in line[start:end]:
            raise Refused(CONTROL, line.index(refused, start))
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


def is_safe(text: str) -> bool:
    """Whether a terminal shows `text` as it is: nothing in it is refused in what people type."""
    return not any(map(_is_unsafe, text))


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
