"""A session's socket: who is answered, and that nothing of a request is left open after it."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base.records import Fd
from gateway.errors import Busy
from gateway.identity.names import Principal, ProjectName, SlotName
from gateway.session import channel, protocol
from gateway.warden import server
from gateway.warden.loop import READ, Loop

DEV1 = Principal("dev1")


def unlock(principal: Principal, blob: str = "AAAA") -> protocol.Unlock:
    return protocol.Unlock(
        principal=principal,
        origin="",
        blob=blob,
        project=ProjectName("p"),
        called=ProjectName("p"),
        slot=SlotName("passphrase"),
        slot_kind="passphrase",
        slot_id="0123456789abcdef",
        secret=Fd(0),
        attempt=Fd(1),
        place=Fd(2),
    )


def done(_request: protocol.Request, front: socket.socket) -> None:
    server.reply(front, protocol.Done())


def refuse(_request: protocol.Request, _front: socket.socket) -> None:
    raise Busy("not now")


def say(message: protocol.Message) -> Callable[[socket.socket], None]:
    return lambda front: channel.send(front, message)


def with_strangers(front: socket.socket) -> None:
    packet, _ = protocol.encode(protocol.Touch(principal=DEV1, origin=""))
    socket.send_fds(front, [packet], [0, 1, 2])


@pytest.mark.parametrize(
    ("answer", "speak", "reply"),
    [
        pytest.param(done, say(unlock(DEV1)), "Done", id="a request that is carried out"),
        pytest.param(refuse, say(unlock(DEV1)), "busy", id="one that is refused"),
        pytest.param(done, say(unlock(DEV1, blob="")), "denied", id="one without a key"),
        pytest.param(done, say(protocol.Close(principal=DEV1, origin="", reason="")), "Done", id="a sysadmin's"),
        pytest.param(done, say(protocol.Terminal(controller=Fd(0))), "denied", id="what is no request"),
        pytest.param(done, with_strangers, None, id="one with descriptors that it does not name"),
        pytest.param(done, lambda front: front.send(b"{"), None, id="what is no message"),
    ],
)
def test_nothing_of_a_request_is_left_open_after_it(
    tmp_path: Path, answer: server.Answer, speak: Callable[[socket.socket], None], reply: str | None
) -> None:
    loop = Loop()
    server.Server(loop, str(tmp_path / "sock"), answer, server.Reserve(0))
    gc.collect()  # what another test left to the collector is closed now, and not in between
    before = set(os.listdir("/proc/self/fd"))
    with channel.connect(str(tmp_path), "sock") as front:
        speak(front)
        heard: list[protocol.Message | None] = []

        def listen(_: int) -> None:
            heard.append(channel.receive(front))
            loop.unwatch(front.fileno())
            loop.stop()

        loop.watch(front.fileno(), READ, listen)
        loop.at(10, loop.stop)
        loop.run()
    (got,) = heard
    said = got.slug if isinstance(got, protocol.Failed) else type(got).__name__ if got else None
    assert said == reply
    assert set(os.listdir("/proc/self/fd")) == before
