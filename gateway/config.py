"""gateway.toml: every key, its type, default and meaning, in one table.

Read on every request, hence by `plaintoml` and not `tomllib`. Nothing else configures the gateway: no environment
variable, no caller.
"""

from __future__ import annotations

from gateway import plaintoml
from gateway.errors import Misconfigured
from gateway.names import Principal
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Key(Record):
    """One key: its dotted name in the file, its default (which fixes its type), the least value, the only values that
    it can have (if there are `choices`), and what it means.
    """

    name: str
    default: str | int | tuple[str, ...]
    least: int = 0
    choices: tuple[str, ...] = ()
    doc: str


KEYS = (
    Key(name="paths.vaults", default="/var/lib/enc/vaults", doc="ciphertext of all principals"),
    Key(name="paths.run", default="/run/enc", doc="live sessions; a tmpfs"),
    Key(name="paths.audit", default="/var/log/enc/audit.jsonl", doc="the audit log"),
    Key(name="paths.authorized_keys", default="/etc/enc/authorized_keys", doc="the file that sshd reads"),
    Key(
        name="paths.pause", default="/etc/enc/paused", doc="while it is there, nothing new begins; `enc-gateway pause`"
    ),
    Key(name="audit.syslog", default="/dev/log", doc='socket that gets a copy of every audit record; "" for none'),
    Key(
        name="audit.when_full",
        default="refuse",
        choices=("refuse", "continue"),
        doc="what a request comes to that cannot be recorded; continue: it goes on, in syslog at best",
    ),
    Key(name="audit.reserve", default=4, doc="MiB of its disk that are left for recording how sessions end"),
    Key(
        name="audit.rotate", default=64, doc="MiB from which `enc-gateway audit rotate --due` rotates the log; 0: never"
    ),
    Key(name="audit.keep", default=0, doc="rotated logs that are kept; 0: all"),
    Key(name="projects.create", default=("*",), doc='principals who may create projects; "*" for all, [] for none'),
    Key(name="passphrase.minimum", default=12, least=1, doc="characters that `new` asks for without --allow-weak"),
    Key(name="passphrase.wait_max", default=30, doc="seconds; the longest wait after wrong passphrases"),
    Key(name="idle.session", default=600, least=1, doc="seconds without activity until a session is closed"),
    Key(name="idle.view", default=600, least=1, doc="seconds without file I/O or a command until a project is locked"),
    Key(name="idle.view_longest", default=0, doc="the longest limit that a project may have; 0: that of idle.view"),
    Key(name="idle.warning", default=60, doc="seconds before either that a warning is given"),
    Key(name="trash.days", default=30, doc="days until a removed project is deleted for good"),
    Key(name="lock.grace", default=2, doc="seconds that attached programs have between SIGTERM and SIGKILL"),
)


EVERYBODY = "*"
"""In projects.create: any principal."""
DEFAULT_AUDIT = next(str(key.default) for key in KEYS if key.name == "paths.audit")


class Config(Record):
    """The values of `KEYS`; a dot in a key is an underscore here. Paths are absolute, times in seconds."""

    paths_vaults: str
    paths_run: str
    paths_audit: str
    paths_authorized_keys: str
    paths_pause: str
    audit_syslog: str
    audit_when_full: str
    audit_reserve: int
    audit_rotate: int
    audit_keep: int
    projects_create: tuple[str, ...]
    passphrase_minimum: int
    passphrase_wait_max: int
    idle_session: int
    idle_view: int
    idle_view_longest: int
    idle_warning: int
    trash_days: int
    lock_grace: int


def parse(text: str, source: str = "gateway.toml") -> Config:
    """The configuration in `text`; raises Misconfigured with `source`, line and reason."""
    try:
        given = plaintoml.parse(text)
    except plaintoml.PlainTomlError as error:
        raise Misconfigured(f"{source}, {error}") from error
    values: dict[str, Any] = {}
    for key in KEYS:
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
        if key.name == "projects.create" and item != EVERYBODY and not Principal.names(item):
            return f'must be principals, fingerprints or "{EVERYBODY}"'
    return ""


def audit_of(text: str) -> str:
    """Where the audit is, as far as a configuration that `parse` refuses tells: it has to be said there."""
    lines = text.split("\n")
    while True:
        try:
            located = plaintoml.parse("\n".join(lines)).get("paths.audit")
        except plaintoml.PlainTomlError as error:
            lines[error.line - 1 :] = []
            continue
        given = located.value if located else None
        return given if isinstance(given, str) and given.startswith("/") else DEFAULT_AUDIT


def load(path: str) -> Config:
    """The configuration in the file `path`; raises Misconfigured."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from error
