"""The rule for a passphrase, whatever program or keyboard it comes from (docs/protocol.md). The gateway has the same.

What editors, terminals and other systems add or change by themselves makes no other passphrase: carriage returns and a
byte order mark at either end, and whether `ä` is one character or `a` with a mark (Unicode, NFC and NFD).
"""

from __future__ import annotations

from client.errors import Usage

EDGES = "\r\ufeff"
"""What falls away at both ends: CR, and the byte order mark."""


def canonical(line: bytes) -> bytes:
    """The passphrase that a new project gets for `line`. Raises Usage if it is no text, or has control characters."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Usage("the passphrase is not UTF-8 text", "set your terminal to UTF-8") from None
    text = text.strip(EDGES)
    for place, char in enumerate(text, 1):
        if char < " " or "\x7f" <= char <= "\x9f":  # Unicode's category Cc
            message = f"the passphrase has a control character (U+{ord(char):04X}, character {place})"
            raise Usage(message, "an arrow key or Ctrl sends one; type it again without")
    if text.isascii():
        return text.encode()
    import unicodedata

    return unicodedata.normalize("NFC", text).encode()
