"""Read gateway.toml. Nothing else configures the gateway: no environment variable, and nothing that a caller sends."""

from __future__ import annotations

from gateway.base import toml
from gateway.config import cluster, schema
from gateway.config.schema import Config, Key
from gateway.errors import Misconfigured
from gateway.identity.names import Principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str, source: str = "gateway.toml") -> Config:
    """The configuration in `text`. Raises Misconfigured, which names `source`, line and reason."""
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
        raise Misconfigured(f"{source}, line {located.line}: unknown key {name}{_meant(name)}")
    if lacking := cluster.incomplete(_dotted(values)):
        raise Misconfigured(f"{source}: {lacking}")
    return Config(**values)


def _dotted(values: dict[str, Any]) -> dict[str, object]:
    return {name: values[name.replace(".", "_")] for name in cluster.KEYS}


def _meant(name: str) -> str:
    """Where to write the key that an unknown one ends with, as `projects.create` does below [idle]."""
    for key in schema.KEYS:
        if name.endswith("." + key.name):
            table, _, last = key.name.rpartition(".")
            return f"; write `{last} = ...` below `[{table}]`"
    return ""


_TYPE_NAMES = {int: "a whole number", str: "a string", tuple: "a list of strings"}


def _problem(key: Key, value: object) -> str:
    if key.or_targets and isinstance(value, tuple):
        return _targets_problem(value)
    if type(value) is not type(key.default):
        return f"must be {_TYPE_NAMES[type(key.default)]}"
    if isinstance(value, tuple):
        return _list_problem(key, value)
    if key.choices and value not in key.choices:
        return f"must be {' or '.join(key.choices)}" + (_OR_TARGETS if key.or_targets else "")
    if isinstance(value, int) and value < key.minimum:
        return f"must be at least {key.minimum}"
    if isinstance(value, int) and key.maximum and value > key.maximum:
        return f"must be at most {key.maximum}"
    if isinstance(value, str) and key.name.startswith("paths.") and not value.startswith("/"):
        return "must be an absolute path"
    if isinstance(value, str) and key.name in cluster.KEYS:
        return cluster.problem(key.name, value)
    return ""


_OR_TARGETS = ', or a list of names and ports, as in ["example.org:443"]'


def _targets_problem(value: tuple[object, ...]) -> str:
    """The first wrong entry, and why it is wrong."""
    from gateway.config import targets

    if not value:
        return 'lists nothing; for no network write "none"'
    wrong = ((item, targets.problem(item) if isinstance(item, str) else "is a number") for item in value)
    return next((f"lists {item!r}, which {problem}" for item, problem in wrong if problem), "")


def _list_problem(key: Key, value: tuple[object, ...]) -> str:
    for item in value:
        if not isinstance(item, str):
            return f"must be {_TYPE_NAMES[tuple]}"
        if not item or "\0" in item:
            return "has an empty item"
        if key.name == "run.paths" and (
            not item.startswith("/") or item.strip("/") in _FORBIDDEN_PATHS or ".." in item.split("/")
        ):
            return "must be absolute paths, and not /, /etc, /home or a similar directory"
        if key.name in ("projects.create", "projects.share") and item != schema.ANY and not Principal.is_valid(item):
            return f'must be principals, fingerprints or "{schema.ANY}"'
    return ""


_FORBIDDEN_PATHS = frozenset(("", "dev", "proc", "sys", "tmp", "run", "home", "etc", "root", "var", "projects"))
"""Directories that programs must not get as a whole: the sandbox has its own, or they contain secrets of the host."""


_MOST_ERRORS = 100
"""Lines that cannot be read, after which the rest of a file is not looked at."""


def salvage(text: str) -> Config:
    """What can be used of a configuration that `parse` refuses: each sound key, and the defaults of all others.

    For what only looks or ends things, and to record a refusal where the sysadmin wants it. After a line that cannot be
    read, nothing counts until the next [table]: those keys could belong to another one. Of a cluster all or nothing.
    """
    given = _sound_lines(text)
    values: dict[str, Any] = {}
    for key in schema.KEYS:
        located = given.get(key.name)
        is_sound = located is not None and not _problem(key, located.value)
        values[key.name.replace(".", "_")] = located.value if located and is_sound else key.default
    if cluster.incomplete(_dotted(values)):
        values |= {name.replace(".", "_"): "" for name in cluster.KEYS}
    return Config(**values)


def _sound_lines(text: str) -> dict[str, toml.Located]:
    lines = text.encode("utf-8", "replace")[: toml.MAX_BYTES].decode(errors="ignore").split("\n")
    for _ in range(_MOST_ERRORS):
        try:
            return toml.parse("\n".join(lines))
        except toml.PlainTomlError as error:
            wrong = error.line - 1
            table = (at for at in range(wrong + 1, len(lines)) if lines[at].lstrip().startswith("["))
            after = next(table, len(lines))
            lines[wrong:after] = [""] * (after - wrong)
    return {}


def lost_places(path: str, must_name: bool = False) -> tuple[str, ...]:
    """The keys `paths.` of the file that `load_usable` had to leave at their defaults although the file seems to name
    them, and with `must_name` also those that it does not name; the same of the keys of a cluster, which nobody has to
    name. Whoever goes on then looks at another gateway, or edits a copy of authorized_keys.
    """
    text = _read_any(path)
    given = _sound_lines(text)
    understood = {located.line for located in given.values()}
    rest = (line for number, line in enumerate(text.split("\n"), 1) if number not in understood)
    words = (line.partition("=")[0].strip() for line in rest if "=" in line)
    named = {word.removeprefix("paths.").removeprefix("cluster.").strip() for word in words}
    alone = not salvage(text).cluster_directory
    lost = []
    for key in schema.KEYS:
        table, _, name = key.name.partition(".")
        located = given.get(key.name)
        is_sound = located is not None and not _problem(key, located.value)
        seems_named = located is not None or name in named
        if table == "paths" and not is_sound and (must_name or seems_named):
            lost.append(key.name)
        if key.name in cluster.KEYS and alone and seems_named and not (located and located.value == ""):
            lost.append(key.name)
    return tuple(lost)


def load_usable(path: str) -> tuple[Config, Misconfigured | None]:
    """The configuration in the file `path`; if that is wrong, what can be used of it (`salvage`), and the error."""
    try:
        return load(path), None
    except Misconfigured as error:
        return salvage(_read_any(path)), error


def _read_any(path: str) -> str:
    """The text of a file, whatever its bytes are; "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(toml.MAX_BYTES)
    except OSError:
        return ""


def load(path: str) -> Config:
    """The configuration in the file `path`. Raises Misconfigured."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from error
