"""Where the siege is laid: a victim with an unlocked project, an attacker with a key and projects of their own."""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import PASSPHRASE, Gateway, Held, Person, Result, Terminal, eventually

CANARY = "the secret of somebody else"
LEAKS = ("uid=", "root:x:", CANARY, "Traceback")
PROMPT = "enc> "

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[nrt\\])")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}


def decoded(text: str) -> bytes:
    """The bytes that a column of cases.tsv means."""
    return _ESCAPE.sub(
        lambda found: _PLAIN[found[1]] if found[1] in _PLAIN else bytes([int(found[1][1:], 16)]), text.encode()
    )


def filled(text: str, names: dict[str, str]) -> str:
    """`text` with the {names}; {number} is a word of that length."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return "a" * int(name) if name.isdecimal() else names.get(name, found[0])

    return re.sub(r"\{(\w+)\}", value, text)


@dataclass
class Field:
    """The attacker's side. `pit` is a directory that every account of the host may write to; it has to stay empty."""

    attacker: Person
    names: dict[str, str]
    pit: Path
    shared: tuple[str, ...]
    _prompt: Terminal | None = None
    _lines: Iterator[int] = field(default_factory=itertools.count)

    def filled(self, text: str) -> str:
        """`text` with the {names} of this field; {number} is a word of that length."""

        return filled(text, self.names)

    def ssh(self, line: bytes) -> Result:
        return self.attacker.ssh(line.decode(errors="surrogateescape"), extra=self.shared)

    def sftp(self, batch: bytes) -> Result:
        return self.attacker.sftp(*batch.decode(errors="surrogateescape").split("\n"), extra=self.shared)

    def put(self, where: str) -> Result:
        """A file, by the old protocol, in which the server's program decides where it goes."""
        return self.attacker.copy("scp", "-O", *self.shared, self.names["file"], f"gateway:{where}")

    def forward(self, flags: str) -> Result:
        return self.attacker.ssh(extra=tuple(flags.split()))

    def whoami(self, variable: str) -> Result:
        """`whoami` on a connection that brings a variable along (a shared one passes on none)."""
        name, _, value = variable.partition("=")
        return self.attacker.ssh("whoami", "--json", extra=("-o", f'SetEnv={name}="{value}"'))

    def typed(self, line: bytes) -> str:
        """What the prompt shows for a line, up to the answer to the next one: it has to be there still."""
        if self._prompt is None:
            self._prompt = self.attacker.terminal(extra=("-e", "none"))  # a ~ is for the gateway
            self._prompt.expect(PROMPT)
        number = next(self._lines)
        self._prompt.send_bytes(line + b"\nstill-there-%d\n" % number)
        shown = self._prompt.expect(f"unknown command still-there-{number}")
        self._prompt.expect(PROMPT)  # until readline has the terminal, the kernel answers keys such as Ctrl-R
        return shown

    def close(self) -> None:
        if self._prompt:
            self._prompt.close()


@contextlib.contextmanager
def laid(gateway: Gateway, place: Path) -> Iterator[Field]:
    """A field on `gateway`. At its end the victim's view is as it was, and no fault has been recorded."""
    number = len(list(place.glob("pit-*")))
    victim, attacker = gateway.person(f"victim{number}"), gateway.person(f"attacker{number}")
    pit = place / f"pit-{number}"
    pit.mkdir()
    pit.chmod(0o1777)
    theirs, mine = f"theirs{number}-x", "mine"
    victim.new(theirs)
    for project in (mine, "locked"):
        attacker.new(project)
    with (
        tempfile.TemporaryDirectory() as name,
        victim.mounted(theirs),
        attacker.mounted(mine),
        connection(attacker, Path(name) / "socket") as shared,
    ):
        file, void = Path(name) / "secret", Path(name) / "void"
        file.write_text(CANARY)
        assert victim.sftp(f"put {file} {theirs}/secret").status == 0
        session = next(str(one["id"]) for one in gateway.sessions() if one["principal"] == victim.fingerprint)
        names = {"theirs": theirs, "theirs_part": theirs[:-2], "mine": mine, "locked": "locked", "pit": str(pit)}
        names |= {
            "their_session": session,
            "root": str(gateway.root),
            "pid": str(gateway.pid),
            "port": str(gateway.ready["port"]),
            "blob": Path(f"{attacker.key}.pub").read_text().split()[1],
        }
        names |= {"file": str(file.with_name("file")), "void": str(void), "words": " ".join("a" * 300)}
        Path(names["file"]).write_text("mine")
        laid_out = Field(attacker, names, pit, shared)
        try:
            yield laid_out
        finally:
            laid_out.close()
        assert victim.sftp(f"get {theirs}/secret {void}", f"ls -1 {theirs}").status == 0
        assert void.read_text() == CANARY
    assert gateway.events("fault") == []
    for log in (Path(str(gateway.ready["audit"])), gateway.root / "log" / "sshd.log"):
        text = log.read_text(errors="surrogateescape")
        assert all(char.isprintable() or char in "\r\n" for char in text), log
        assert not [word for word in (CANARY, PASSPHRASE, str(pit)) if word in text], log


@contextlib.contextmanager
def connection(person: Person, socket: Path) -> Iterator[tuple[str, ...]]:
    """Options that put channels on one connection, which is there for the context."""
    shared = ("-o", f"ControlPath={socket}")
    master: Held = person.hold(extra=(*shared, "-M", "-N"))
    try:
        eventually(socket.exists)
        yield shared
    finally:
        master.end()
