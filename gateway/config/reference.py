"""gateway.toml in words, made from `config.KEYS`: the commented file that is installed, and the table in the docs."""

from __future__ import annotations

from gateway.base import toml
from gateway.config import schema

INTRODUCTION = """\
The configuration of an ENC gateway: comments, [table] and key = value, a part of TOML.
Each login reads it; a session that is live keeps the limits that it began with.
While a line is wrong no login succeeds, and `enc-gateway doctor` says which.
"""


def template() -> str:
    """A gateway.toml that says everything and changes nothing."""
    introduction = INTRODUCTION + "Every key is here with its default; take its # away to change it.\n"
    lines = [f"# {line}" for line in introduction.splitlines()]
    table = ""
    for key in schema.KEYS:
        prefix, _, name = key.name.rpartition(".")
        if prefix != table:
            table = prefix
            lines += ["", f"[{table}]"]
        lines += [f"# {key.doc}", f"#{name} = {written(key)}"]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Markdown: a row for each key."""
    rows = [f"| `{key.name}` | `{written(key)}` | {key.doc} |" for key in schema.KEYS]
    return "\n".join(["| key | default | means |", "| --- | --- | --- |", *rows]) + "\n"


def written(key: schema.Key) -> str:
    """The default as a file has it."""
    return toml.dump({"key": key.default}).strip().partition(" = ")[2]
