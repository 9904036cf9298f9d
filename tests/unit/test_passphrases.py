"""One rule for passphrases on both sides: what falls away, what is refused, and which spellings are tried."""

from __future__ import annotations

import pytest

from client.errors import Usage as ClientUsage
from client.system import passphrases as of_client
from gateway.errors import Usage
from rshell.terminal import passphrases

NFC, NFD = "p\u00e4ss w\u00f6rd".encode(), "pa\u0308ss wo\u0308rd".encode()
BOM = "\ufeff".encode()

SAME = [
    pytest.param(b"secret word", b"secret word", id="plain"),
    pytest.param(b"secret word\r", b"secret word", id="CR, as Windows ends lines"),
    pytest.param(b"secret word\r\r", b"secret word", id="two of them"),
    pytest.param(BOM + b"secret word", b"secret word", id="byte order mark"),
    pytest.param(BOM + b"secret word\r", b"secret word", id="as PowerShell pipes it"),
    pytest.param(b"\rsecret word" + BOM, b"secret word", id="at the other edges"),
    pytest.param(b" secret word ", b" secret word ", id="blanks are of the passphrase"),
    pytest.param(NFC, NFC, id="composed"),
    pytest.param(NFD, NFC, id="decomposed"),
    pytest.param("\u212b".encode(), "\u00c5".encode(), id="the sign for Angstrom is a letter"),
    pytest.param("\ufb01".encode(), "\ufb01".encode(), id="a ligature is its own character"),
    pytest.param(b"", b"", id="nothing"),
]


@pytest.mark.parametrize(("line", "expected"), SAME)
def test_what_other_programs_add_or_change_makes_no_other_passphrase(line: bytes, expected: bytes) -> None:
    assert passphrases.canonical(line) == of_client.canonical(line) == expected
    assert passphrases.spellings(line)[0] == expected


REFUSED = [
    *(pytest.param(f"sec{chr(code)}ret".encode(), f"U+{code:04X}", id=f"U+{code:04X}") for code in (0, 7, 9, 13, 27)),
    pytest.param(b"secret\x7f", "U+007F", id="DEL"),
    pytest.param("secret\x85".encode(), "U+0085", id="NEL"),
    pytest.param("secret".encode("utf-16"), "not UTF-8", id="UTF-16"),
    pytest.param("p\u00e4ss".encode("latin-1"), "not UTF-8", id="Latin-1"),
]


@pytest.mark.parametrize(("line", "said"), REFUSED)
def test_what_nobody_types_on_purpose_is_refused_in_one_line_that_does_not_repeat_it(line: bytes, said: str) -> None:
    with pytest.raises(Usage, match=said.replace("+", r"\+")) as refused:
        passphrases.canonical(line)
    with pytest.raises(ClientUsage) as there:
        of_client.canonical(line)
    assert str(there.value) == str(refused.value) and "sec" not in str(refused.value)
    assert line in passphrases.spellings(line), "what was made before opens"


def test_other_spellings_are_tried_only_if_there_are_some() -> None:
    assert passphrases.spellings(b"plain") == (b"plain",)
    assert passphrases.spellings(NFD) == (NFC, NFD)
    assert passphrases.spellings(NFC) == (NFC, NFD)
    assert passphrases.spellings(b"plain\r") == (b"plain", b"plain\r")
    assert passphrases.spellings("\u00e4".encode() * 1024) == ("\u00e4".encode() * 1024,), "gocryptfs reads 2048 bytes"
