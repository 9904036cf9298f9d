"""What ssh calls a workspace: no two the same, and nothing that ssh, scp or a pattern of Host takes apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.state.config import Profile
from client.workspace import files


def test_no_two_workspaces_have_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text('default = "home"\n[gateways.home]\nhost = "h"\n[gateways.work]\nhost = "w"\n')
    monkeypatch.setenv("ENC_CONFIG", str(config))
    home, work = Profile("home", "h"), Profile("work", "w")
    names = [files.alias(*one) for one in ((home, "work-p"), (work, "p"), (home, "work/p"), (home, "p"), (work, "a/p"))]
    assert len(set(names)) == len(names), names


def test_a_name_is_one_word_for_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENC_CONFIG", str(tmp_path / "none"))
    for project in ("bob@corp/plan", "SHA256:ab_-/plan"):
        assert not {*files.alias(Profile("*", "h"), project)} & set("@:/*? ")
