"""What the warden takes from a workspace, in which a user's program may have the word."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.warden.programs.workspaces import Said, understood

GOOD = {
    '{"host_key": "ssh-ed25519 AAAA"}': Said(host_key="ssh-ed25519 AAAA"),
    '{"login": 3}': Said(login=3),
    '{"forward": 0}': Said(forward=0),
    '{"forward": 65535}': Said(forward=65535),
    '{"ended": 2, "status": 255}': Said(ended=2, status=255),
}
BAD = [
    *("", "x", "[]", "null", "{}", '{"login": true}', '{"login": "1"}', '{"login": 1.0}', '{"forward": 65536}'),
    *('{"forward": -1}', '{"ended": 1}', '{"ended": 1, "status": true}', '{"host_key": "a\\u001b[0m"}', "9" * 5000),
    *('{"host_key": "\\u00e4"}', "[" * 3000, '{"host_key": 1}'),
]


@pytest.mark.parametrize(("packet", "said"), GOOD.items())
def test_a_word_is_understood(packet: str, said: Said) -> None:
    assert understood(packet.encode()) == said


@pytest.mark.parametrize("packet", BAD, ids=range(len(BAD)))
def test_nonsense_is_refused(packet: str) -> None:
    with pytest.raises(ValueError):
        understood(packet.encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["login", "ended", "status"]), inner),
    max_leaves=8,
)


@given(VALUES | st.binary())
def test_whatever_comes_is_a_word_or_a_value_error(value: object) -> None:
    packet = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        said = understood(packet)
    except ValueError:
        return
    assert type(said) is Said and 0 <= said.status <= 255
