"""Fuzz the parsers of untrusted input, guided by coverage (atheris).

    python3 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    /tmp/fuzz/bin/python -m bench.fuzz -max_total_time=600 [CORPUS_DIR]

Each input goes to every parser. A parser may raise the exception that its docstring names, and no other; what it
accepts must have the properties that are checked here. A finding ends the run with a traceback, and a file `crash-...`
has the input. Not in CI: it takes ten minutes of a processor, and atheris has no wheel for every Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports():
    from gateway.base import toml
    from gateway.config import loader
    from gateway.errors import EncError, Misconfigured, Usage
    from gateway.identity import authorized_keys
    from gateway.identity.names import Principal, ProjectName
    from gateway.session import protocol, registry
    from rshell.commands import rsync
    from rshell.language import command, grammar, verbs


def of_grammar(data: bytes) -> None:
    """A line becomes words within the limits and without control characters, or a refusal of one printable line."""
    line = data.decode(errors="surrogateescape")
    try:
        words = grammar.split(line)
    except grammar.Refused as refused:
        assert str(refused).isascii() and str(refused).isprintable()
        return
    assert len(words) <= grammar.MAX_WORDS
    for word in words:
        assert len(word) <= grammar.MAX_WORD
        assert not any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in word)


def of_commands(data: bytes) -> None:
    """A line becomes a command of the table with a valid name, or a refusal of one short line."""
    line = data.decode(errors="surrogateescape")
    try:
        asked = command.parse(line)
    except EncError as error:
        assert error.line().isprintable() and len(error.line()) < 300, error.line()
        return
    assert asked.verb.name in verbs.VERBS
    assert asked.project is None or ProjectName.accepts(asked.project)


def of_rsync(data: bytes) -> None:
    """The number of option words is at most the number of words."""
    words = ("--server", *data.decode(errors="replace").split(" "))
    assert 1 <= rsync.count_options(words) <= len(words) + 1


def of_protocol(data: bytes) -> None:
    """A packet between front and warden that is accepted is the same after encoding and decoding."""
    for fds in ((), (3,), (3, 4, 5)):
        try:
            message = protocol.decode(data, fds)
        except protocol.Malformed:
            continue
        assert protocol.decode(*protocol.encode(message)) == message


def of_authorized_keys(data: bytes) -> None:
    """Only Ed25519 keys, with the right line. Its own check refuses an invalid principal later."""
    text = data.decode(errors="replace")
    for entry in authorized_keys.parse(text):
        assert entry.key_type in authorized_keys.KEY_TYPES
        assert entry.blob in text and 1 <= entry.line <= text.count("\n") + 1
        assert "\n" not in entry.principal + entry.label
        Principal.accepts(entry.principal)


def of_toml(data: bytes) -> None:
    """vault.toml, a slot's description, gateway.toml: what is accepted is the same after it is written and read."""
    text = data.decode(errors="replace")
    try:
        values = {name: located.value for name, located in toml.parse(text).items()}
    except toml.PlainTomlError:
        return
    again = toml.parse(toml.dump(values))
    assert {name: located.value for name, located in again.items()} == values
    try:
        loader.parse(text)
    except Misconfigured as error:
        assert "\n" not in str(error)


def of_records(data: bytes) -> None:
    """A session's record in the run directory that is accepted is the same after it is written and read."""
    try:
        session = registry.load(data.decode(errors="replace"))
    except (ValueError, TypeError, Usage):
        return
    assert registry.load(session.dump()) == session


PARSERS: tuple[Callable[[bytes], None], ...] = (
    *(of_grammar, of_commands, of_rsync, of_protocol),
    *(of_authorized_keys, of_toml, of_records),
)
SEEDS = (
    b"mount myproj --json",
    b"rsync --server --sender -vlogDtpre.iLsfxCIvu --backup-dir bk . 'myproj/a b'",
    b'{"kind": "Unlock", "principal": "dev1", "origin": "127.0.0.1:1", "project": "p", "slot": "passphrase"}',
    b'{"kind": "Attach", "principal": "dev1", "origin": "", "program": "rsync", "arguments": ["--server", "."]}',
    b'restrict,environment="ENC_USER=dev1",from="10.0.0.0/8" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== dev1@laptop\n',
    b'format = 1\nid = "0a"\ncreated = "2026-01-01T00:00:00Z"\nowner = "SHA256:x"\nidle = 60\n',
    b'[idle]\nsession = 600 # seconds\n[audit]\nsyslog = ""\n',
)


def each(data: bytes) -> None:
    """Give one input to every parser."""
    for parser in PARSERS:
        parser(data)


if __name__ == "__main__":
    for seed in SEEDS:
        each(seed)
    atheris.Setup(sys.argv, each)
    atheris.Fuzz()
