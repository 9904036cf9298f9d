"""What reaches a terminal from the background: text, also where it is the gateway's."""

from __future__ import annotations

import json
import os
import pty
import select
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import click
import pytest

from client import completion
from client.background import background_log, notification
from client.connection import request, session_events
from client.state import config
from client.state import store as stores
from client.state.config import Profile
from client.state.records import Terminal
from client.state.store import Store

ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e\r\nenc: all is well"


@pytest.mark.parametrize("full_screen", [False, True])
def test_a_reason_of_a_hostile_gateway_is_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_screen: bool
) -> None:
    events = tmp_path / "events"
    events.write_text(json.dumps({"event": "locked", "project": "p", "reason": ESCAPES}) + "\n")
    why = session_events.why_locked(cast("Store", SimpleNamespace(events=str(events))), "p")
    assert "owned" in why
    monkeypatch.setattr(notification, "_is_there", lambda _: True)
    monkeypatch.setattr(notification, "_is_full_screen", lambda _: full_screen)
    monkeypatch.setattr(background_log, "note", lambda _: None)
    monkeypatch.setattr(notification, "_waiting", [])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    controller, tty = pty.openpty()
    try:
        terminal = cast("Terminal", SimpleNamespace(tty=os.ttyname(tty)))
        notification.send(terminal, f"p is no longer mounted: {why}")
        shown = b""
        while select.select([controller], [], [], 0.5)[0]:
            shown += os.read(controller, 4096)
    finally:
        os.close(controller)
        os.close(tty)
    said = shown.decode()
    if full_screen:  # our own title, and the bell
        said = said.removeprefix("\x1b[22;0t\x1b]0;").removesuffix("\a\a")
    assert "?]0;owned?" in said and said.strip("\r\n").isprintable(), said


@pytest.mark.parametrize("name", ["\x7f", "\ud800", 'a"\n[gateways.x]\nhost = "evil"', "\u0085"])
def test_whatever_name_a_gateway_gives_its_user_the_config_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config.save(Profile("gw", "gw.example", principal=name, waiting=name))
    assert list(config.load().gateways) == ["gw"]


@pytest.mark.parametrize(
    ("listed", "completed"),
    [
        ([{"name": "parser"}, {"name": "plan;reboot"}, {"name": "p$(reboot)"}, {"name": "p\nq"}], ["parser"]),
        ([{"name": "p.team@x/plan"}, {"name": "p/../q"}, {"name": "p/q/r"}, {"name": "../p"}], ["p.team@x/plan"]),
        ([{"name": "p" * 64}, {"name": "p..q"}, {"name": 7}, {"name": None}, {"name": "other"}], []),
        ([7], []),
        ([{}], []),
        ({"p": 1}, []),
        (7, []),
        ("p", []),
        (None, []),
    ],
)
def test_the_tab_key_puts_nothing_on_the_line_but_names_of_projects(
    monkeypatch: pytest.MonkeyPatch, listed: object, completed: list[str]
) -> None:
    monkeypatch.setattr(stores, "connected", lambda _: object())
    monkeypatch.setattr(request, "send", lambda *_, **__: {"projects": listed})
    monkeypatch.setattr(config, "choose", lambda _: Profile("gw", "gw.example"))
    context = click.Context(click.Command("enc"))
    assert completion._names(context, click.Argument(["project"]), "p") == completed
