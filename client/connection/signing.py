"""The user's Ed25519 keys, in ssh-agent and in the configured key file, and signing with them.

A signature unlocks a project, so it is made for the realm that was pinned for the gateway at `enc init`, and for no
other text than a challenge of that gateway: another one could pass on what it is signed for.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import NamedTuple

from client.connection import ssh, ssh_keygen
from client.errors import Misconfigured, Usage
from client.state.config import Profile
from client.system import children

_TYPE = "ssh-ed25519"
_AGENT_SECONDS = 10.0
_CHALLENGE = re.compile(
    rb"enc-unlock-1\nrealm ([0-9a-f]{32})\nvault [0-9a-f]{16}\nslot [0-9a-f]{16}\nsalt [0-9a-f]{64}\n"
)


class Key(NamedTuple):
    """A key: its public part (base64) and comment, and the file with its private part ("": it is in the agent)."""

    blob: str
    comment: str
    path: str = ""


def keys(profile: Profile) -> list[Key]:
    """The Ed25519 keys that can sign, the one that logs in first; those of the agent before files."""
    own = _in_file(profile.identity)
    found = [key for line in _agent_lines() if (key := _parsed(line))]
    found += [own._replace(path=profile.identity)] if own and os.path.exists(profile.identity) else []
    return sorted(found, key=lambda key: not (own and key.blob == own.blob))


def _agent_lines() -> list[str]:
    try:
        done = children.run(["ssh-add", "-L"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_AGENT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors="replace").splitlines()


def of_file(identity: str) -> str:
    """The public part of the key in that file (base64); "" if it is no Ed25519 key."""
    key = _in_file(identity)
    return key.blob if key else ""


def _in_file(identity: str) -> Key | None:
    if not identity:
        return None
    try:
        with open(f"{identity}.pub", encoding="utf-8", errors="replace") as file:
            return _parsed(file.readline(8192))
    except OSError:
        return None


def _parsed(line: str) -> Key | None:
    words = line.split(maxsplit=2)
    return Key(words[1], "".join(words[2:]).strip()) if len(words) > 1 and words[0] == _TYPE else None


def sign(profile: Profile, key: Key, text: str) -> bytes | None:
    """The armoured signature of a challenge of this gateway; None when the key or its agent does not sign.

    Raises Misconfigured when the gateway has another realm than the pinned one, Usage for a text that is no challenge.
    """
    found = _CHALLENGE.fullmatch(text.encode())
    if not found:
        raise Usage("the gateway asks for a signature of something that is no challenge", "nothing was signed")
    realm = found[1].decode()
    if not profile.realm:
        raise Misconfigured(f"no realm is known for {profile.name}", "run `enc init` again: it notes the gateway's")
    if realm != profile.realm:
        raise Misconfigured(
            f"{profile.name} has another realm than at `enc init`, so nothing was signed for it",
            "ask your sysadmin; `enc init` accepts the new one",
        )
    public, public_path = ssh.memory_file(f"{_TYPE} {key.blob} {key.comment}\n".encode())
    try:
        path = key.path or public_path
        return ssh_keygen.sign(path, f"unlock@{realm}", text.encode(), (public,))
    finally:
        os.close(public)
