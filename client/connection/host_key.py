"""The host key at first contact: get it, show it to the user, and add it to the user's known_hosts.

ssh itself gets it, through the jump hosts of the user's config, with an empty known_hosts file and without offering a
key: a false host learns nothing. Only that key is recorded. Each later connection checks it (connection/ssh.py), so a
host that then shows another key is refused.
"""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from client.connection import ssh, ssh_config, ssh_errors, ssh_keygen, ssh_options
from client.connection.ssh_errors import HostKeyUnknown
from client.errors import HostKeyRefused, Misconfigured, NotAccepted
from client.state import runtime_dir
from client.state.config import Profile
from client.system import children, files

_OFFER_NO_KEY = {
    "PreferredAuthentications": "none",
    "PubkeyAuthentication": "no",
    "BatchMode": "yes",
    "ControlPath": "none",
}


class HostKey(NamedTuple):
    """`line` is its line in known_hosts; `fingerprint` and `kind` are as ssh-keygen prints them."""

    line: str
    fingerprint: str
    kind: str


def fetch(profile: Profile, kind: str = "") -> HostKey:
    """The key that the host shows now, of type `kind` if given. Raises what prevents reaching the host."""
    known_hosts = os.path.join(runtime_dir.path(), f"first-contact-{os.getpid()}")
    extra = {
        "StrictHostKeyChecking": "accept-new",  # into an empty file of our own, which no other connection reads
        "UserKnownHostsFile": ssh_options.quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "HashKnownHosts": "no",
        **_OFFER_NO_KEY,
        **({"HostKeyAlgorithms": kind} if kind else {}),
    }
    try:
        messages = _connect(profile, extra)
        info = ssh_keygen.describe(known_hosts)
        if info is None:
            raise ssh_errors.explain(messages, profile.host)
        with open(known_hosts, encoding="utf-8") as file:
            line = file.readline().strip()
    finally:
        if os.path.exists(known_hosts):
            os.unlink(known_hosts)
    return HostKey(line, info.fingerprint, info.kind)


def is_known(profile: Profile) -> bool:
    """Whether the user's known_hosts has the key that the host shows. Raises HostKeyRefused when it has another."""
    error = ssh_errors.explain(_connect(profile, _OFFER_NO_KEY), profile.host)
    if isinstance(error, NotAccepted):  # ssh checks the host key before it tries to log in
        return True
    if isinstance(error, HostKeyUnknown):
        return False
    raise error


def _connect(profile: Profile, extra: dict[str, str]) -> str:
    """What ssh prints when it connects without a key, which cannot succeed."""
    argv = [*ssh.direct(profile, extra), "-T", "--", profile.host, "whoami"]
    try:
        done = children.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    return done.stderr.decode(errors="replace")


def record(profile: Profile, key: HostKey) -> str:
    """Append the key to the first known_hosts file of the user's ssh; returns its path. Raises Misconfigured."""
    where = ssh_config.known_hosts(profile)
    try:
        os.makedirs(os.path.dirname(where), 0o700, exist_ok=True)
        with open(where, "a+", encoding="utf-8", errors="surrogateescape") as file:
            file.seek(0)
            before = file.read()
            file.write(("" if before.endswith("\n") or not before else "\n") + key.line + "\n")
    except OSError as error:
        raise Misconfigured(f"{where} cannot be written: {error.strerror}") from error
    return where


def forget(where: str, key: HostKey) -> None:
    """Undo `record`: remove the key's last line from the file, or the file when it has no other line."""
    with open(where, encoding="utf-8", errors="surrogateescape") as file:
        lines = [f"{line}\n" for line in file.read().removesuffix("\n").split("\n")]
    if f"{key.line}\n" not in lines:  # somebody else removed it
        return
    last = len(lines) - 1 - lines[::-1].index(f"{key.line}\n")
    if len(lines) == 1:
        os.unlink(where)
        return
    text = "".join(lines[:last] + lines[last + 1 :])
    files.replace(os.path.realpath(where), text, os.stat(where).st_mode & 0o777)


def check_fingerprint(key: HostKey, expected: str) -> None:
    """Raises HostKeyRefused when the key has another fingerprint."""
    if key.fingerprint != expected:
        raise HostKeyRefused(
            f"the host key is {key.fingerprint}, which is not the one that you gave with --fingerprint",
            "ask your sysadmin",
        )
