"""What enc keeps for workspaces beside config.toml: a key, the host keys, and a file for ssh_config(5).

The key lets nobody into the gateway: a workspace takes it from a channel that the gateway has let in by the user's own
key. So it needs no passphrase, and what enc itself runs gives a workspace no signature of the user's own. The stock ssh
also offers what the user's ssh_config names for all hosts: values of IdentityFile add up (ssh_config(5)).
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable
from typing import NamedTuple

from client.connection import ssh_keygen, ssh_options
from client.errors import CannotCreate
from client.state import config
from client.state.config import GatewayOptions, Profile
from client.system import files

_BEGINS, _PROXY, _HOME = "Host ", "ProxyCommand", "--home"
_NO_WORD = re.compile(r"[^A-Za-z0-9._-]")
_HEAD = "# Written by `enc ssh-config`. ~/.ssh/config includes it.\n"


def _place(name: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(config.path())), name)


def key() -> str:
    return _place("workspace_key")


def known_hosts() -> str:
    return _place("workspace_known_hosts")


def ssh_config() -> str:
    return _place("ssh_config")


def public_key() -> str:
    """The second word of our public key, which is made if there is none. Raises CannotCreate, Missing."""
    try:
        os.makedirs(os.path.dirname(key()), 0o700, exist_ok=True)
        lock = files.open_locked(f"{key()}.lock")  # an editor's first connections come at once
    except OSError as error:
        raise CannotCreate(f"{key()} cannot be created", error.strerror or "") from error
    try:
        for half in (key(), f"{key()}.pub"):
            if not (os.path.isfile(key()) and os.path.isfile(f"{key()}.pub")):
                with contextlib.suppress(FileNotFoundError):  # one without the other is of no use
                    os.unlink(half)
        ssh_keygen.create(key(), asks=False)
    except OSError as error:
        raise CannotCreate(f"{key()} cannot be created", error.strerror or "") from error
    finally:
        os.close(lock)
    try:
        with open(f"{key()}.pub", encoding="ascii") as file:
            return file.read().split()[1]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise CannotCreate(f"{key()}.pub is no public key", f"rm {key()}*: another one is made") from error


def alias(profile: Profile, project: str) -> str:
    """What ssh calls the workspace of `project`: enc-PROJECT, or enc+GATEWAY+PROJECT if the gateway is not the default.
    No project's name has a +, so no two are called the same. What ssh, scp or a pattern of Host would take apart (`@`,
    `:`, `*`) is a + as well.
    """
    if config.load().default in ("", profile.name):
        return f"enc-{_word(project)}"
    return f"enc+{_word(profile.name)}+{_word(project)}"


def _word(name: str) -> str:
    return _NO_WORD.sub("+", name)


def note_host_key(name: str, host_key: str) -> None:
    """From now on, this is the key of the workspace that ssh calls `name`. Raises CannotCreate."""

    def changed(lines: list[str]) -> list[str]:
        return [*(line for line in lines if line.split(" ", 1)[0] != name), f"{name} {host_key}"]

    _change(known_hosts(), changed)


class Block(NamedTuple):
    """What ssh calls a workspace, and whether that has its home in the project."""

    name: str
    home: bool


def write_block(profile: Profile, project: str, given: GatewayOptions, home: bool | None = None) -> Block:
    """Write the block of a project for ssh_config(5), leading to this gateway, whichever it led to before. Unless it
    is said where the `home` is, that stays as it is. Raises CannotCreate.
    """
    name = alias(profile, project)
    chosen, has_home = given._replace(host=given.host or profile.name), bool(home)

    def changed(lines: list[str]) -> list[str]:
        nonlocal has_home
        if home is None and f"{_BEGINS}{name}" in lines:
            begun = lines[lines.index(f"{_BEGINS}{name}") :]
            proxy = next((line for line in begun if line.strip().startswith(_PROXY)), "")
            has_home = proxy.endswith(_HOME)
        block = _block(name, project, chosen, has_home)
        kept, drops = [], False
        for line in lines:
            drops = line == f"{_BEGINS}{name}" if line.startswith(_BEGINS) else drops
            if not drops:
                kept.append(line)
        return [*(kept or [_HEAD.rstrip("\n")]), *block]

    _change(ssh_config(), changed)
    return Block(name, has_home)


def _block(name: str, project: str, given: GatewayOptions, home: bool) -> list[str]:
    words = [os.path.abspath(sys.argv[0])]
    for flag, value in (("--host", given.host), ("-F", given.ssh_config), ("-i", given.identity)):
        if value:
            words += [flag, value if flag == "--host" else os.path.abspath(os.path.expanduser(value))]
    words += ["workspace", project, "--stdio", *([_HOME] if home else [])]
    values = {
        "User": "enc",
        _PROXY: shlex.join(words).replace("%", "%%"),
        "IdentityFile": ssh_options.quoted(key()),
        "IdentitiesOnly": "yes",
        "KexAlgorithms": "curve25519-sha256",  # what a quantum computer could break is inside the outer connection
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",  # a hostile one would ask for a passphrase, in words of its own
        "HostKeyAlias": name,
        "UserKnownHostsFile": ssh_options.quoted(known_hosts()),
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "ForwardAgent": "no",
        "ForwardX11": "no",
    }
    return [f"{_BEGINS}{name}", *(f"    {key_} {value}" for key_, value in values.items())]


def include(user_config: str) -> bool:
    """Have the user's ssh_config include ours; whether that had to be written. Raises CannotCreate."""
    line = f"Include {_included(ssh_config())}"
    path = os.path.realpath(user_config)  # often a link into a repository of one's own
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise CannotCreate(f"{user_config} cannot be read", error.strerror or "") from error
    for each in text.splitlines():
        word = each.strip().lower().partition(" ")[0]
        if word == "include" and ssh_config() in each:
            return False
        if word in ("host", "match"):  # from here on, it would count for some hosts alone
            break
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        mode = os.stat(path).st_mode & 0o777 if text else 0o600
        files.replace(path, f"{line}\n\n{text}", mode)
    except OSError as error:
        raise CannotCreate(f"{user_config} cannot be changed", f"write at its top: {line}") from error
    return True


def _included(path: str) -> str:
    """A path for Include, which takes wildcards, and % for itself. Raises CannotCreate."""
    if any(char in path for char in '"*?[\\') or any(char < " " for char in path):
        raise CannotCreate(f"ssh cannot include {path}", "use a directory of another name: ENC_CONFIG")
    return f'"{path}"'


def _change(path: str, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the lines of the file by what `change` makes of them."""
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        lock = files.open_locked(f"{path}.lock")
        try:
            lines: list[str] = []
            with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().splitlines()
            now = change(lines)
            if now != lines:
                files.replace(path, "\n".join(now) + "\n")
        finally:
            os.close(lock)
    except OSError as error:
        raise CannotCreate(f"{path} cannot be written", error.strerror or "") from error
