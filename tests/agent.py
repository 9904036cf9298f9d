"""A minimal ssh-agent of the tests' own (draft-ietf-sshm-ssh-agent): one Ed25519 key, and the faults of some agents.

It signs by RFC 8032 with plain integers. With `random` the nonce is random, as in agents that guard against faults:
each signature is valid, and none is like another.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket as sockets
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_Y = 4 * pow(5, P - 2, P) % P
BASE = (_X, _Y, 1, _X * _Y % P)
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    left, right = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = right - left, d - c, d + c, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(number: int, point: Point) -> Point:
    made: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            made = _add(made, point)
        point = _add(point, point)
        number >>= 1
    return made


def _packed(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | ((x & 1) << 255)).to_bytes(32, "little")


def _halves(seed: bytes) -> tuple[int, bytes]:
    hashed = hashlib.sha512(seed).digest()
    number = int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return number, hashed[32:]


def public_key(seed: bytes) -> bytes:
    return _packed(_times(_halves(seed)[0], BASE))


def sign(seed: bytes, message: bytes, noise: bytes = b"") -> bytes:
    """The 64 bytes of RFC 8032; with `noise` in the nonce, another valid signature."""
    secret, prefix = _halves(seed)
    public = public_key(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + noise + message).digest(), "little") % Q
    first = _packed(_times(nonce, BASE))
    challenge = int.from_bytes(hashlib.sha512(first + public + message).digest(), "little") % Q
    return first + ((nonce + challenge * secret) % Q).to_bytes(32, "little")


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def blob(seed: bytes) -> bytes:
    """The public key as ssh has it (RFC 8709)."""
    return string(b"ssh-ed25519") + string(public_key(seed))


@dataclass
class Agent:
    """An agent that listens at `socket` for the length of `serving`. `vanishes_after` so many signatures it closes;
    `refuses`: it lists its key and signs nothing. `signed` counts.
    """

    seed: bytes
    socket: Path
    random: bool = False
    refuses: bool = False
    vanishes_after: int = -1
    signed: int = 0
    asked: list[bytes] = field(default_factory=list)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Agent]:
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()
        listening = sockets.socket(sockets.AF_UNIX)
        listening.bind(str(self.socket))
        listening.listen()
        thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            listening.shutdown(sockets.SHUT_RDWR)
            listening.close()
            thread.join(5)

    def _accept(self, listening: sockets.socket) -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: sockets.socket) -> None:
        with caller, caller.makefile("rb") as stream:
            while len(size := stream.read(4)) == 4:
                answer = self._answer(stream.read(int.from_bytes(size, "big")))
                if answer is None:
                    return
                caller.sendall(string(answer))

    def _answer(self, request: bytes) -> bytes | None:
        if request[0] == 11:  # SSH_AGENTC_REQUEST_IDENTITIES
            return b"\x0c" + struct.pack(">I", 1) + string(blob(self.seed)) + string(b"agent@test")
        if request[0] != 13 or self.refuses:
            return b"\x05"  # SSH_AGENT_FAILURE
        if self.signed == self.vanishes_after:
            return None
        self.signed += 1
        at = 1 + 4 + int.from_bytes(request[1:5], "big")
        message = request[at + 4 : at + 4 + int.from_bytes(request[at : at + 4], "big")]
        self.asked.append(message)
        made = sign(self.seed, message, os.urandom(32) if self.random else b"")
        return b"\x0e" + string(string(b"ssh-ed25519") + string(made))  # SSH_AGENT_SIGN_RESPONSE


def signed_data(message: bytes, namespace: str) -> bytes:
    """What a signature of `message` in that namespace is of (PROTOCOL.sshsig)."""
    hashed = hashlib.sha512(message).digest()
    return b"SSHSIG" + b"".join(map(string, (namespace.encode(), b"", b"sha512", hashed)))


def private_file(seed: bytes) -> str:
    """The key as ssh-keygen writes it, without a passphrase (PROTOCOL.key)."""
    secret = string(b"ssh-ed25519") + string(public_key(seed)) + string(seed + public_key(seed)) + string(b"test")
    section = b"\0" * 8 + secret
    section += bytes(range(1, 1 + -len(section) % 8))
    plain = b"openssh-key-v1\0" + string(b"none") * 2 + string(b"") + struct.pack(">I", 1)
    text = base64.b64encode(plain + string(blob(seed)) + string(section)).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(("-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""))
