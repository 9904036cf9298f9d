"""Reading gateway.toml. Nothing else configures the gateway: no environment variable, no caller."""

from __future__ import annotations

from gateway.base import toml
from gateway.config import schema
from gateway.config.schema import Config, Key
from gateway.errors import Misconfigured
from gateway.identity.names import Principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str, source: str = "gateway.toml") -> Config:
    """The configuration in `text`; raises Misconfigured with `source`, line and reason."""
    try:
        given = toml.parse(text)
    except toml.PlainTomlError as error:
        raise Misconfigured(f"{source}, {error}") from error
    values: dict[str, Any] = {}
    for key in schema.KEYS:
        located = given.pop(key.name, None)
        values[key.name.replace(".", "_")] = key.default if located is None else located.value
        if located is not None and (problem := _problem(key, located.value)):
            raise Misconfigured(f"{source}, line {located.line}: {key.name} {problem}")
    for name, located in given.items():
        raise Misconfigured(f"{source}, line {located.line}: unknown key {name}")
    return Config(**values)


_TYPES = {int: "a whole number", str: "a string", tuple: "a list of strings"}


def _problem(key: Key, value: object) -> str:
    if type(value) is not type(key.default):
        return f"must be {_TYPES[type(key.default)]}"
    if isinstance(value, tuple):
        return _problem_of_list(key, value)
    if key.choices and value not in key.choices:
        return f"must be {' or '.join(key.choices)}"
    if isinstance(value, int) and value < key.least:
        return f"must be at least {key.least}"
    if isinstance(value, str) and key.name.startswith("paths.") and not value.startswith("/"):
        return "must be an absolute path"
    return ""


def _problem_of_list(key: Key, value: tuple[object, ...]) -> str:
    for item in value:
        if not isinstance(item, str):
            return f"must be {_TYPES[tuple]}"
        if not item or "\0" in item:
            return "has an empty item"
        if key.name == "run.paths" and (
            not item.startswith("/") or item.strip("/") in _NO_PATHS or ".." in item.split("/")
        ):
            return "must be absolute paths, and not /, /etc, /home or the like as a whole"
        if key.name == "projects.create" and item != schema.ANY and not Principal.names(item):
            return f'must be principals, fingerprints or "{schema.ANY}"'
    return ""


_NO_PATHS = frozenset(("", "dev", "proc", "sys", "tmp", "run", "home", "etc", "root", "var", "projects"))
"""What must not be given to programs as a whole: their own, or with secrets of the host in it."""


def audit_of(text: str) -> str:
    """Where the audit is, as far as a configuration that `parse` refuses tells: it has to be said there."""
    lines = text.split("\n")
    while True:
        try:
            located = toml.parse("\n".join(lines)).get("paths.audit")
        except toml.PlainTomlError as error:
            lines[error.line - 1 :] = []
            continue
        given = located.value if located else None
        return given if isinstance(given, str) and given.startswith("/") else schema.DEFAULT_AUDIT


def load(path: str) -> Config:
    """The configuration in the file `path`; raises Misconfigured."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from error
