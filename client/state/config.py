"""~/.config/enc/config.toml: the gateways that the user has set up. And which one a command uses.

default = "work"

[gateways.work]
host = "gateway.example.org"        # or an alias of ssh_config(5)
user = "enc"                        # these are optional: without them, ssh_config decides
port = 22
identity = "~/.ssh/id_ed25519"
ssh_config = "~/work/ssh_config"
realm = "0123456789abcdef0123456789abcdef"    # written by `enc init`: SSH keys sign for this gateway alone
principal = "dev1"                  # written by `enc init`: your name there
waiting = "SHA256:..."              # written by `enc init`: the key that your sysadmin has not approved yet
typing_counts = true                # typing on the terminal of a mount keeps its project unlocked
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

from client.errors import Misconfigured, Usage
from client.system import files, terminal_text

_TYPES: dict[str, type] = {
    "host": str,
    "user": str,
    "port": int,
    "identity": str,
    "ssh_config": str,
    "realm": str,
    "principal": str,
    "waiting": str,
    "typing_counts": bool,
}
_KINDS = {str: "a string", int: "a number", bool: "true or false"}
_NO_GATEWAY = "run `enc init`, or name one with --host or ENC_HOST"


class Profile(NamedTuple):
    """One gateway. A field that is empty or 0 is left to ssh and its config.

    `principal` is who the gateway said we are, "" if that is not known. `waiting` is the fingerprint of a key that was
    handed in with an invitation and that no answer has shown to be approved. `typing_counts`: typing on the terminal of
    a mount keeps the project unlocked.

    With an `address` (NAME:PORT) it leads to the host `other` of the gateway's cluster (client.state.hosts).
    """

    name: str
    host: str
    user: str = ""
    port: int = 0
    identity: str = ""
    ssh_config: str = ""
    realm: str = ""
    principal: str = ""
    waiting: str = ""
    typing_counts: bool = False
    other: str = ""
    address: str = ""

    @property
    def called(self) -> str:
        """What it leads to, for a message."""
        return f"{self.other} ({self.address})" if self.address else self.host


class Config(NamedTuple):
    default: str = ""
    gateways: dict[str, Profile] = {}  # noqa: RUF012 - never changed in place


class GatewayOptions(NamedTuple):
    """--host, -F and -i, or the variables that stand for them; "" for what was not given."""

    host: str = ""
    ssh_config: str = ""
    identity: str = ""


def path() -> str:
    """The path of the config file, which need not exist."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.environ.get("ENC_CONFIG") or os.path.join(home, "enc", "config.toml")


def load() -> Config:
    """The config; an empty one when there is no file. Raises Misconfigured with line and column."""
    import tomllib

    where = path()
    try:
        with open(where, encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{where} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8')}") from error
    try:
        return _config(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        end = f"at line {text.count(chr(10)) + 1}, column {len(text) - text.rfind(chr(10))}"
        message = f"{where}: {str(error).replace('at end of document', end)}"
        raise Misconfigured(message, 'each line is [gateways.NAME], or KEY = "VALUE" with the quotes') from error
    except _BadValue as bad:
        raise Misconfigured(f"{where}: {bad} ({_position(text, bad.key)})") from bad


class _BadValue(Exception):
    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def _config(plain: dict[str, Any]) -> Config:
    for key in plain:
        if key not in ("default", "gateways"):
            raise _BadValue(key, f"unknown key {key!r}")
    default, gateways = plain.get("default", ""), plain.get("gateways", {})
    if not isinstance(default, str):
        raise _BadValue("default", "`default` must be a string")
    if not isinstance(gateways, dict) or not all(isinstance(table, dict) for table in gateways.values()):
        raise _BadValue("gateways", "write each gateway as a table [gateways.NAME]")
    profiles = {name: _profile(name, table) for name, table in gateways.items()}
    if default and default not in profiles:
        raise _BadValue("default", f"`default` names no gateway: there is no [gateways.{default}]")
    return Config(default, profiles)


def _profile(name: str, table: dict[str, Any]) -> Profile:
    for key, value in table.items():
        if key not in _TYPES:
            raise _BadValue(key, f"unknown key {key!r}; the keys of a gateway are {', '.join(_TYPES)}")
        if type(value) is not _TYPES[key]:
            raise _BadValue(key, f"`{key}` must be {_KINDS[_TYPES[key]]}")
    if not table.get("host"):
        raise _BadValue(name, f"gateway {name!r} has no host")
    return checked(Profile(name=name, **table))


def checked(profile: Profile) -> Profile:
    """`profile` with absolute paths. Raises Usage for a host that ssh would read as an option."""
    user, at, host = profile.host.rpartition("@")
    if profile.host.startswith("-") or not profile.host.isprintable() or " " in profile.host:
        raise Usage(f"{profile.host!r} is not a host name")
    if not host or (at and not user):
        raise Usage(f"{profile.host!r} is not a host name", "write HOST, or USER@HOST")
    full = {
        key: os.path.abspath(os.path.expanduser(value))
        for key in ("identity", "ssh_config")
        if (value := getattr(profile, key))
    }
    return profile._replace(**full)


def _position(text: str, key: str) -> str:
    """Line and column of the first `key` in `text`, in the words that tomllib uses."""
    found = re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text)
    before = text[: found.start()] if found else ""
    return f"at line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def choose(given: GatewayOptions) -> Profile:
    """The gateway that a command uses: the profile named by --host, else that host, else the default profile.

    Raises Misconfigured when there is none.
    """
    config = load()
    name = given.host or config.default
    if not name:
        raise Misconfigured("no gateway is configured", _NO_GATEWAY)
    profile = config.gateways.get(name) or Profile(name=name, host=name)
    overrides = {key: value for key in ("ssh_config", "identity") if (value := getattr(given, key))}
    return checked(profile._replace(**overrides))


def save(profile: Profile) -> str:
    """Add `profile`, or replace the one with its name; make it the default if there is none. Returns the file's path.

    Writes a new file, so comments in the old one are lost. Raises Misconfigured.
    """
    who, waiting = terminal_text.in_one_line(profile.principal), terminal_text.in_one_line(profile.waiting)
    profile = profile._replace(principal=who, waiting=waiting)  # as the gateway says: TOML cannot have all of it
    config = load()
    gateways = {**config.gateways, profile.name: profile}
    lines = [f"default = {json.dumps(config.default or profile.name, ensure_ascii=False)}"]
    for name, each in gateways.items():
        lines += ["", f"[gateways.{json.dumps(name, ensure_ascii=False)}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key in _TYPES if (value := getattr(each, key))]
    where = path()
    try:
        os.makedirs(os.path.dirname(where), 0o700, exist_ok=True)
        files.replace(where, "\n".join(lines) + "\n")
    except OSError as error:
        raise Misconfigured(f"{where} cannot be written: {error.strerror}") from error
    return where
