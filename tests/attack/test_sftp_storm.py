"""Requests of SFTP that no client sends, to the front that leads them to several sessions."""

from __future__ import annotations

import random
import subprocess

from tests.harness import Gateway
from tests.stock import Two, sessions

KINDS = (1, 2, *range(3, 21), 101, 105, 200, 201, 255)
PATHS = (b"p/f", b"q/f", b"/projects/p/f", b"/", b"", b".", b"p/../q/f", b"..", b"p\0q", b"x" * 5000, b"/projects/q/..")
EXTENSIONS = (b"copy-data", b"posix-rename@openssh.com", b"hardlink@openssh.com", b"fsync@openssh.com", b"limits", b"")
ROUNDS = 60


def string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def packet(choose: random.Random) -> bytes:
    """One request; one in thirty is not what its kind has."""
    kind = choose.choice(KINDS)
    handles = (bytes([choose.choice((0, 1, 2, 3, 0xFD, 0xFE, 0xFF))]) + b"\0\0\0" + bytes([choose.randrange(3)]), b"")
    fields = [string(choose.choice((*PATHS, *handles))) for _ in range(choose.randrange(1, 4))]
    if kind == 200:
        fields.insert(0, string(choose.choice(EXTENSIONS)))
    if kind in (3, 5, 6):
        fields.append(choose.randbytes(20))
    body = bytes([kind]) + choose.randbytes(4) + b"".join(fields)
    if not choose.randrange(30):
        body = body[: choose.randrange(1, len(body))]
    return string(body)


def test_what_no_client_sends_is_answered_or_ends_the_channel_and_is_no_fault(gateway: Gateway) -> None:
    with sessions(gateway.person("storm")) as who:
        for seed in range(ROUNDS):
            choose = random.Random(seed)
            stream = string(b"\1\0\0\0\3") + b"".join(packet(choose) for _ in range(choose.randrange(1, 200)))
            done = _send(who, stream)
            assert b"Traceback" not in done.stderr and b"internal error" not in done.stderr, (seed, done.stderr)
        assert who.ssh("ls").status == 0
        for project in ("p", "q"):
            assert who.sh(project, "cat name").out == f"{project}\n"
    assert not gateway.events("fault")


def _send(who: Two, stream: bytes) -> subprocess.CompletedProcess[bytes]:
    argv = who.person.argv("/usr/lib/openssh/sftp-server", extra=who.shared)
    return subprocess.run(argv, input=stream, capture_output=True, check=False, timeout=60)
