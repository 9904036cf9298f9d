"""gateway.toml in words, made from `config.KEYS`: the commented file that is installed, and the table in the docs."""

from __future__ import annotations

from gateway import config, plaintoml

_HEADER = """\
# ENC: the gateway's configuration. Every key, with its default; take a `#` away to change one.
# Each login reads this file; a session that is live keeps the limits that it began with.
# `enc-gateway doctor` checks it: while a line is wrong, no login succeeds.
"""


def template() -> str:
    """A gateway.toml that says everything and changes nothing."""
    lines = [_HEADER.rstrip("\n")]
    table = ""
    for key in config.KEYS:
        prefix, _, name = key.name.rpartition(".")
        if prefix != table:
            table = prefix
            lines += ["", f"[{table}]"]
        lines += [f"# {key.doc}", f"#{name} = {_written(key)}"]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Markdown: a row for each key."""
    rows = [f"| `{key.name}` | `{_written(key)}` | {key.doc} |" for key in config.KEYS]
    return "\n".join(["| key | default | means |", "| --- | --- | --- |", *rows]) + "\n"


def _written(key: config.Key) -> str:
    """The default as a file has it."""
    return plaintoml.dump({"key": key.default}).strip().partition(" = ")[2]
