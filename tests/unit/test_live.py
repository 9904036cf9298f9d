"""`enc-gateway sessions` does not trust the report of a session, which is another process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.admin import sessions
from gateway.base import json
from gateway.config import loader
from gateway.identity.names import Principal, SessionId
from gateway.session import channel, layout, protocol, registry
from gateway.session.registry import Session


@contextmanager
def answering(run: Path, report: str) -> Iterator[None]:
    """A session in `run` whose warden answers with `report`."""
    id_, path, lock = registry.prepare(str(run), Principal("dev1"))
    record = Session(
        id=SessionId(id_),
        principal=Principal("dev1"),
        fingerprint="SHA256:x",
        address="127.0.0.1",
        port=1,
        connection="c",
        anchor="session",
        since="2026-11-25T00:00:00Z",
        pid=os.getpid(),
    )
    registry.publish(path, record)
    directory = os.open(path, os.O_PATH | os.O_DIRECTORY)  # the path of a test can be too long for a socket's
    socket = channel.listen(f"/proc/self/fd/{directory}/{layout.SOCKET}")
    os.close(directory)

    def answer() -> None:
        front, _ = socket.accept()
        with front:
            channel.receive(front)
            channel.send(front, protocol.State(report=report))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        socket.close()
        os.close(lock)


@pytest.mark.parametrize(
    ("report", "activity"),
    [
        ("{not json", ""),
        ("[" * 20_000, ""),
        ("[]", ""),
        (json.dumps({"last_activity": "a\x1b[2Jb", "idle": "soon"}), "a\\x1b[2Jb"),
    ],
)
def test_a_session_that_talks_nonsense_is_shown_and_harms_nobody(tmp_path: Path, report: str, activity: str) -> None:
    names = ("run", "vaults", "authorized_keys")
    settings = loader.parse("[paths]\n" + "".join(f'{name} = "{tmp_path}/{name}"\n' for name in names))
    (tmp_path / "run").mkdir()
    (tmp_path / "vaults").mkdir()
    with answering(tmp_path / "run", report):
        (seen,) = sessions.collect(settings)
    assert seen.clock.last_activity == activity and seen.clock.idle is None
