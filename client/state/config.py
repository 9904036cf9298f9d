"""~/.config/enc/config.toml: which gateways there are. And which one a command means.

default = "work"

[gateways.work]
host = "gateway.example.org"        # or an alias of ssh_config(5)
user = "enc"                        # these four only where ssh_config does not say it
port = 22
identity = "~/.ssh/id_ed25519"
ssh_config = "~/work/ssh_config"
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

from client.errors import Misconfigured, Usage
from client.state import store

_TYPES: dict[str, type] = {"host": str, "user": str, "port": int, "identity": str, "ssh_config": str}
_NO_GATEWAY = "run `enc init`, or name one with --host or ENC_HOST"


class Profile(NamedTuple):
    """One gateway. Empty or 0: ssh and its config decide."""

    name: str
    host: str
    user: str = ""
    port: int = 0
    identity: str = ""
    ssh_config: str = ""

    def store(self) -> store.Store:
        """Where its state is. Raises Missing."""
        return store.of_gateway(self.host, self.user, str(self.port), self.identity, self.ssh_config)


class Config(NamedTuple):
    default: str = ""
    gateways: dict[str, Profile] = {}  # noqa: RUF012 - never changed in place


class Choice(NamedTuple):
    """What a command line says about the gateway; "" for nothing."""

    host: str = ""
    ssh_config: str = ""
    identity: str = ""


def path() -> str:
    """Where the config file is, whether or not it exists."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.environ.get("ENC_CONFIG") or os.path.join(home, "enc", "config.toml")


def load() -> Config:
    """The config; an empty one when there is no file. Raises Misconfigured, which names the line and column."""
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
        raise Misconfigured(f"{where}: {str(error).replace('at end of document', end)}") from error
    except _Wrong as wrong:
        raise Misconfigured(f"{where}: {wrong} ({_position(text, wrong.key)})") from wrong


class _Wrong(Exception):
    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def _config(plain: dict[str, Any]) -> Config:
    for key in plain:
        if key not in ("default", "gateways"):
            raise _Wrong(key, f"there is no key {key!r}")
    default, gateways = plain.get("default", ""), plain.get("gateways", {})
    if not isinstance(default, str):
        raise _Wrong("default", "`default` must be a string")
    if not isinstance(gateways, dict) or not all(isinstance(table, dict) for table in gateways.values()):
        raise _Wrong("gateways", "each gateway is a table [gateways.NAME]")
    profiles = {name: _profile(name, table) for name, table in gateways.items()}
    if default and default not in profiles:
        raise _Wrong("default", f"`default` names no gateway: there is no [gateways.{default}]")
    return Config(default, profiles)


def _profile(name: str, table: dict[str, Any]) -> Profile:
    for key, value in table.items():
        if key not in _TYPES:
            raise _Wrong(key, f"a gateway has no key {key!r}; it has {', '.join(_TYPES)}")
        if type(value) is not _TYPES[key]:
            raise _Wrong(key, f"`{key}` must be a {'number' if _TYPES[key] is int else 'string'}")
    if not table.get("host"):
        raise _Wrong(name, f"gateway {name!r} has no host")
    return checked(Profile(name=name, **table))


def checked(profile: Profile) -> Profile:
    """With paths in full. Raises Usage for what ssh would take for an option."""
    if profile.host.startswith("-") or not profile.host.isprintable() or " " in profile.host:
        raise Usage(f"{profile.host!r} is not a host")
    full = {
        key: os.path.abspath(os.path.expanduser(value))
        for key in ("identity", "ssh_config")
        if (value := getattr(profile, key))
    }
    return profile._replace(**full)


def _position(text: str, key: str) -> str:
    """Line and column where `key` first stands, as tomllib words it."""
    found = re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text)
    before = text[: found.start()] if found else ""
    return f"at line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def choose(choice: Choice) -> Profile:
    """The gateway that a command means: a profile's name, or else a host. Raises Misconfigured when none is named."""
    config = load()
    name = choice.host or config.default
    if not name:
        raise Misconfigured("no gateway is configured", _NO_GATEWAY)
    profile = config.gateways.get(name) or Profile(name=name, host=name)
    said = {key: value for key in ("ssh_config", "identity") if (value := getattr(choice, key))}
    return checked(profile._replace(**said))


def save(profile: Profile) -> str:
    """Add `profile`, or replace the one of its name, and make it the default if there is none; the file's path.

    The file is written anew as a whole: comments in it are lost. Raises Misconfigured.
    """
    config = load()
    gateways = {**config.gateways, profile.name: profile}
    lines = [f"default = {json.dumps(config.default or profile.name, ensure_ascii=False)}"]
    for name, each in gateways.items():
        lines += ["", f"[gateways.{json.dumps(name, ensure_ascii=False)}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key in _TYPES if (value := getattr(each, key))]
    where = path()
    try:
        os.makedirs(os.path.dirname(where), 0o700, exist_ok=True)
        fd = os.open(f"{where}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.rename(f"{where}.new", where)
    except OSError as error:
        raise Misconfigured(f"{where} cannot be written: {error.strerror}") from error
    return where
