"""For tests of stock clients: somebody with sessions, the same gateway for clients with an older key exchange, and a
client of SFTP that sends what the tests say.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Gateway, Person, Result, eventually, need, run
from tests.life import connection


@dataclass(frozen=True)
class Two:
    """Somebody with the projects p and q, unlocked in two sessions on connections of their own, and `locked`. `shared`
    are the options of a third connection.
    """

    person: Person
    shared: tuple[str, ...]

    def ssh(self, line: str, stdin: bytes | str = b"") -> Result:
        return self.person.ssh(line, stdin=stdin, extra=self.shared)

    def sh(self, project: str, script: str) -> Result:
        quoted = script.replace("'", "'\\''")
        return self.ssh(f"run {project} -- sh -c '{quoted}'")

    def rsync(self, *words: str, directory: Path | None = None) -> Result:
        remote = " ".join(("ssh", *self.person.options, *self.shared))
        where = ["env", "-C", str(directory)] if directory else []
        return run([*where, "rsync", "-e", remote, *words])

    def scp(self, *words: str) -> Result:
        return run(["scp", *self.person.options, *self.shared, *words])


@contextlib.contextmanager
def sessions(person: Person, projects: tuple[str, ...] = ("p", "q")) -> Iterator[Two]:
    """`projects` unlocked, each in a session of its own, and the project `locked`."""
    with contextlib.ExitStack() as held:
        for project in (*projects, "locked"):
            person.new(project)
        for project in projects:
            held.enter_context(person.mounted(project))
        made = Two(person, held.enter_context(connection(person)))
        script = "mkdir -p src/deep; echo one >a.c; echo two >b.c; echo three >'x [1].c'; echo dot >.hidden.c"
        for project in projects:
            assert made.sh(project, f"{script}; echo {project} >name; echo below >src/deep/f").status == 0
        yield made


@contextlib.contextmanager
def older_key_exchange(gateway: Gateway) -> Iterator[int]:
    """The gateway's sshd once more, on the port that this yields, with the key exchange that libssh2 has: ours is
    stricter (40-enc-transport.conf).
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    text = (gateway.root / "sshd_config").read_text()
    text = re.sub(r"(?m)^Port .*$", f"Port {port}", re.sub(r"(?m)^(KexAlgorithms|Ciphers|MACs|PidFile) .*$", "", text))
    config = gateway.root / "sshd_config.older"
    config.write_text(text)
    log = config.with_suffix(".log")  # no pipe: full, it would stop sshd
    log.unlink(missing_ok=True)  # another module's says that its sshd listened
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(log)])
    try:
        eventually(lambda: log.exists() and "Server listening" in log.read_text())
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def sshfs(two: Two, remote: str, at: Path, *more: str) -> Iterator[Path]:
    need(Path("/usr/bin/sshfs").exists() and Path("/dev/fuse").exists(), "sshfs and FUSE")
    at.mkdir()
    options = ["-F", str(two.person.gateway.ssh_config), "-o", f"IdentityFile={two.person.key}"]
    result = run(["sshfs", *options, *more, f"gateway:{remote}", str(at)])
    assert result.status == 0, result
    try:
        yield at
    finally:
        eventually(lambda: subprocess.run(["fusermount3", "-q", "-u", str(at)], check=False).returncode == 0)


@dataclass(frozen=True)
class Answer:
    """`code` and `text` are those of a status; a handle or the names of a listing are `found`."""

    kind: int
    code: int = -1
    text: str = ""
    found: tuple[bytes, ...] = ()

    @property
    def handle(self) -> bytes:
        (handle,) = self.found
        return handle


class Speaker:
    """SFTP by hand: `argv` starts the channel."""

    def __init__(self, argv: list[str], version: int = 3) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._id = 0
        self._send(bytes([1]) + version.to_bytes(4, "big"))
        self.version = int.from_bytes(self._receive()[1:5], "big")

    def ask(self, kind: int, *fields: str | bytes | int) -> Answer:
        """Send a request and wait for its answer. Strings have their length in front; an int is one of four bytes."""
        self.send(kind, *fields)
        body = self._receive()
        assert int.from_bytes(body[1:5], "big") == self._id, body
        return _answer(body)

    def send(self, kind: int, *fields: str | bytes | int) -> None:
        self._id += 1
        body = bytes([kind]) + self._id.to_bytes(4, "big")
        for field in fields:
            data = field.encode() if isinstance(field, str) else field
            body += data.to_bytes(4, "big") if isinstance(data, int) else len(data).to_bytes(4, "big") + data
        self._send(body)

    def _send(self, body: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(len(body).to_bytes(4, "big") + body)
        self.process.stdin.flush()

    def _receive(self) -> bytes:
        assert self.process.stdout
        head = self.process.stdout.read(4)
        assert len(head) == 4, "the channel is closed"
        return self.process.stdout.read(int.from_bytes(head, "big"))

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate(timeout=20)


def _answer(body: bytes) -> Answer:
    kind = body[0]
    number = int.from_bytes(body[5:9], "big")
    if kind == 101:
        length = int.from_bytes(body[9:13], "big")
        return Answer(kind, code=number, text=body[13 : 13 + length].decode())
    if kind == 102:
        return Answer(kind, found=(body[9 : 9 + number],))
    if kind != 104:
        return Answer(kind)
    found, at = [], 9
    for _ in range(number):
        for part in range(2):
            length = int.from_bytes(body[at : at + 4], "big")
            if not part:
                found.append(body[at + 4 : at + 4 + length])
            at += 4 + length
        flags, at = int.from_bytes(body[at : at + 4], "big"), at + 4
        at += 8 * bool(flags & 1) + 8 * bool(flags & 2) + 4 * bool(flags & 4) + 8 * bool(flags & 8)
    return Answer(kind, found=tuple(found))
