"""What sshd makes of `from=`: what is expected here was seen on an OpenSSH 9.2 (tests/system/test_why.py asks one)."""

from __future__ import annotations

import pytest

from gateway.identity import from_patterns

ALLOWED = [
    pytest.param("127.0.0.2", "127.0.0.2", True, id="an address"),
    pytest.param("127.0.0.1", "127.0.0.2", False, id="another"),
    pytest.param("127.0.0.0/8", "127.0.0.2", True, id="a network"),
    pytest.param("127.0.0.2/31", "127.0.0.1", False, id="beside a network"),
    pytest.param("127.0.0.1/8", "127.0.0.1", False, id="a network with bits beyond its mask"),
    pytest.param("*,127.0.0.1/8", "127.0.0.1", False, id="which spoils the list"),
    pytest.param("127.0.0.0/40", "127.0.0.1", False, id="a mask that is too long"),
    pytest.param("127.0.0.0/x", "127.0.0.1", False, id="no mask"),
    pytest.param("127.*", "127.0.0.1", True, id="wildcards"),
    pytest.param("127.0.0.?", "127.0.0.1", True, id="a character"),
    pytest.param("127.0.0.??", "127.0.0.1", False, id="two characters"),
    pytest.param("*", "127.0.0.1", True, id="anywhere"),
    pytest.param("!127.0.0.2,*", "127.0.0.2", False, id="but here"),
    pytest.param("*,!127.0.0.0/30", "127.0.0.2", False, id="in any order"),
    pytest.param("*,!127.0.0.0/30", "127.0.0.9", True, id="not excluded"),
    pytest.param("!127.0.0.2", "127.0.0.1", False, id="nothing is included"),
    pytest.param("!127.0.0.9,127.0.0.0/8", "127.0.0.1", True, id="excluded is another"),
    pytest.param("127.0.0.2,", "127.0.0.2", False, id="an empty item"),
    pytest.param("127.0.0.2, 127.0.0.3", "127.0.0.3", False, id="blanks"),
    pytest.param("::1,fe80::/10", "127.0.0.1", False, id="another family"),
    pytest.param("2001:db8::/32", "2001:0DB8:0:0::1", True, id="IPv6"),
    pytest.param("2001:DB8:*", "2001:db8::1", True, id="IPv6 as a text, as of a name in any case"),
    pytest.param("127.2", "127.0.0.2", True, id="an old spelling"),
    pytest.param("LOCALHOST", "127.0.0.1", False, id="a name, which is not asked for"),
    pytest.param("[127.0.0.2]", "127.0.0.2", False, id="brackets are no pattern"),
]


@pytest.mark.parametrize(("patterns", "address", "allowed"), ALLOWED)
def test_patterns_are_read_as_sshd_reads_them(patterns: str, address: str, allowed: bool) -> None:
    assert (from_patterns.refusal(patterns, address) == "") == allowed


def test_no_address_is_none() -> None:
    assert from_patterns.parse_address("nowhere.example") is None and from_patterns.parse_address("") is None
