"""The rule for a passphrase, whatever program or keyboard it comes from (docs/protocol.md). The client has the same.

What editors, terminals and other systems add or change by themselves makes no other passphrase: carriage returns and a
byte order mark at either end, and whether `ä` is one character or `a` with a mark (Unicode, NFC and NFD).
"""

from __future__ import annotations

from gateway.errors import Usage

MAX_BYTES = 2048
"""What gocryptfs reads."""
EDGES = "\r\ufeff"
"""What falls away at both ends: CR, and the byte order mark."""


def canonical(line: bytes) -> bytes:
    """The passphrase that a new project gets for `line`. Raises Usage if it is no text, or has control characters."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Usage("the passphrase is not UTF-8 text", "set your terminal to UTF-8") from None
    text = text.strip(EDGES)
    require_no_control(text)
    return _normalised(text, composed=True)


def require_no_control(text: str) -> None:
    """Raise Usage if `text` has a control character. The message does not repeat the passphrase."""
    for place, char in enumerate(text, 1):
        if is_control(char):
            message = f"the passphrase has a control character (U+{ord(char):04X}, character {place})"
            raise Usage(message, "an arrow key or Ctrl sends one; type it again without")


def is_control(char: str) -> bool:
    """Unicode's category Cc: NUL, ESC, TAB, DEL, ..."""
    return char < " " or "\x7f" <= char <= "\x9f"


def spellings(line: bytes) -> tuple[bytes, ...]:
    """The passphrases that `line` may stand for, the likeliest first: one, unless it is other than plain text.

    Projects from before there was this rule have the passphrase as it was given: also with what falls away or is
    refused now.
    """
    try:
        text = line.decode().strip(EDGES)
    except UnicodeDecodeError:
        return (line,)
    found = (_normalised(text, composed=True), line, text.encode(), _normalised(text, composed=False))
    return tuple(dict.fromkeys(each for each in found if len(each) <= MAX_BYTES))


def _normalised(text: str, composed: bool) -> bytes:
    if text.isascii():
        return text.encode()
    import unicodedata

    return unicodedata.normalize("NFC" if composed else "NFD", text).encode()
