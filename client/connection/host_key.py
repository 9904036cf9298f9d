"""First contact: the host key, shown and asked about, and written down where the user's ssh looks for it.

It is got by ssh itself, through whatever jump hosts the config names, with an empty file of known hosts and without
offering any key: nothing can be lost to a false host. What is recorded afterwards is that key and no other; every
connection after that checks it (client/ssh.py), so a host that shows another one then is refused.
"""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from client.connection import ssh
from client.errors import HostKeyRefused, Misconfigured, NotAccepted
from client.state import store
from client.state.config import Profile

_KEYGEN = "ssh-keygen"


class HostKey(NamedTuple):
    """`line` is the line for known_hosts; `fingerprint` as ssh-keygen prints it."""

    line: str
    fingerprint: str
    kind: str


def of(profile: Profile, kind: str = "") -> HostKey:
    """The key that the host shows now, of type `kind` if named. Raises what keeps us from reaching it."""
    place = os.path.join(store.runtime(), f"first-contact-{os.getpid()}")
    extra = {
        "StrictHostKeyChecking": "accept-new",  # into an empty file of our own, which nothing else ever reads
        "UserKnownHostsFile": ssh.quoted(place),
        "GlobalKnownHostsFile": "/dev/null",
        "HashKnownHosts": "no",
        "PreferredAuthentications": "none",
        "PubkeyAuthentication": "no",
        "BatchMode": "yes",
        "ControlPath": "none",
        **({"HostKeyAlgorithms": kind} if kind else {}),
    }
    try:
        argv = [*ssh.direct(profile, extra), "-T", "--", profile.host, "whoami"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        try:
            with open(place, encoding="utf-8") as file:
                line = file.readline().strip()
        except FileNotFoundError:
            raise ssh.failure(done.stderr.decode(errors="replace"), profile.host) from None
        shown = subprocess.run([_KEYGEN, "-lf", place], capture_output=True, text=True, check=True).stdout.split()
    except FileNotFoundError as error:
        raise ssh.no_ssh() from error
    finally:
        if os.path.exists(place):
            os.unlink(place)
    return HostKey(line, shown[1], shown[-1].strip("()"))


def is_known(profile: Profile) -> bool:
    """Whether the user's ssh knows the key that the host shows. Raises HostKeyRefused when it knows another."""
    extra = {
        "PreferredAuthentications": "none",
        "PubkeyAuthentication": "no",
        "BatchMode": "yes",
        "ControlPath": "none",
    }
    argv = [*ssh.direct(profile, extra), "-T", "--", profile.host, "whoami"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as missing:
        raise ssh.no_ssh() from missing
    error = ssh.failure(done.stderr.decode(errors="replace"), profile.host)
    if isinstance(error, NotAccepted):  # it came as far as that
        return True
    if isinstance(error, HostKeyRefused) and "is not known here" in str(error):
        return False
    raise error


def record(profile: Profile, key: HostKey) -> str:
    """Append the key to the first file in which the user's ssh looks; the file. Raises Misconfigured."""
    where = _file(profile)
    try:
        os.makedirs(os.path.dirname(where), 0o700, exist_ok=True)
        with open(where, "a+", encoding="utf-8") as file:
            file.seek(0)
            before = file.read()
            file.write(("" if before.endswith("\n") or not before else "\n") + key.line + "\n")
    except OSError as error:
        raise Misconfigured(f"{where} cannot be written: {error.strerror}") from error
    return where


def forget(where: str, key: HostKey) -> None:
    """Take back what `record` did. Other lines stay as they are; a file that has no other is removed."""
    with open(where, encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    last = len(lines) - 1 - lines[::-1].index(f"{key.line}\n")
    if len(lines) == 1:
        os.unlink(where)
        return
    draft = f"{where}.enc-new"
    with open(draft, "x", encoding="utf-8") as file:
        os.fchmod(file.fileno(), os.stat(where).st_mode & 0o777)
        file.writelines(lines[:last] + lines[last + 1 :])
    os.rename(draft, os.path.realpath(where))


def _file(profile: Profile) -> str:
    argv = [*ssh.direct(profile), "-G", "--", profile.host]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        key, _, value = line.partition(" ")
        if key == "userknownhostsfile":
            return os.path.expanduser(value.split()[0])
    return os.path.expanduser("~/.ssh/known_hosts")


def fingerprint(public: str) -> str:
    """Of a public key file, as `ssh-keygen -lf` prints it; "" when it is none."""
    said = subprocess.run([_KEYGEN, "-lf", public], capture_output=True, text=True, check=False).stdout.split()
    return said[1] if len(said) > 1 else ""


def must_be(key: HostKey, expected: str) -> None:
    """Raises HostKeyRefused when it is another."""
    if key.fingerprint != expected:
        raise HostKeyRefused(
            f"the host shows {key.fingerprint}, which is not the fingerprint given", "ask your sysadmin"
        )
