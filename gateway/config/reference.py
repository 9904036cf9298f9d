"""Texts generated from `schema.KEYS`: the commented gateway.toml that is installed, and the table in the docs."""

from __future__ import annotations

from gateway.base import toml
from gateway.config import schema

INTRODUCTION = """\
The configuration of an ENC gateway, in a subset of TOML: comments, [table], and key = value.
Each login reads it. A live session keeps the limits it started with.
While a line is wrong, no login succeeds; `enc-gateway doctor` names the line.
"""


def template() -> str:
    """A gateway.toml with every key in a comment, so that it changes nothing."""
    introduction = INTRODUCTION + "Every key is listed with its default. To change one, remove the # before it.\n"
    lines = [f"# {line}" for line in introduction.splitlines()]
    table = ""
    for key in schema.KEYS:
        prefix, _, name = key.name.rpartition(".")
        if prefix != table:
            table = prefix
            lines += ["", f"[{table}]"]
        lines += [f"# {key.doc}", f"#{name} = {default_text(key)}"]
    return "\n".join(lines) + "\n"


def table() -> str:
    """A Markdown table with a row for each key."""
    rows = [f"| `{key.name}` | `{default_text(key)}` | {key.doc} |" for key in schema.KEYS]
    return "\n".join(["| key | default | means |", "| --- | --- | --- |", *rows]) + "\n"


def default_text(key: schema.Key) -> str:
    """The default value as TOML."""
    return toml.dump({"key": key.default}).strip().partition(" = ")[2]
