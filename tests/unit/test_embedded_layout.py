"""The directory of an embedded gateway, found by its authorized_keys."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from gateway.embedded import layout


@pytest.mark.parametrize("name", ["gateway", "keys"])
@pytest.mark.parametrize("inside", ["", "keys"])
def test_an_embedded_gateway_is_known_by_what_is_there_before_its_sshd(tmp_path: Path, name: str, inside: str) -> None:
    """What follows its cluster begins before that, and tells its host key."""
    root = tmp_path / name
    (root / inside).mkdir(parents=True)
    keys = str(root / inside / "authorized_keys")
    assert layout.root_of(keys) is None
    (root / layout.HOST_KEY).touch()
    with layout.held(layout.Layout.at(root, pwd.getpwuid(os.getuid()))):
        assert layout.root_of(keys) == root
