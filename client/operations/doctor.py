"""What is missing or wrong on this machine, and how to put it right. A check is a function, and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

from client.background import sleep_inhibitor
from client.connection import ssh
from client.errors import EncError
from client.mount import sshfs
from client.operations import projects
from client.state import config, store
from client.state.config import Choice, Profile

_FIXED = "contain_symlinks"
"""An option by which to know an sshfs without CVE-2026-47187 (a server's symlinks lead out of the mount) and
CVE-2026-48711; distributions have put both right in versions that are numbered like older ones (Debian's changelog)."""
_SSH_WANTED = (8, 7)
"""The first that can do all of what we say to it; older ones are not tried out."""


class Finding(NamedTuple):
    """`level` is ok, warning or wrong; `fix` says what to do."""

    about: str
    level: str
    says: str
    fix: str = ""


def examine(choice: Choice) -> Iterator[Finding]:
    """All findings, in the order in which things are needed."""
    for check in (_ssh, _sshfs, _fuse, _runtime, _sleep, _agent):
        yield from _guarded(check)
    try:
        profile = config.choose(choice)
    except EncError as error:
        yield Finding("config", "wrong", str(error), error.hint)
        return
    yield Finding("config", "ok", f"gateway {profile.name} ({profile.host})")
    yield from _key(profile)
    yield from _gateway(profile)


def _guarded(check: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield check()
    except EncError as error:
        yield Finding(check.__name__.strip("_"), "wrong", str(error), error.hint)


def _said(*argv: str) -> str:
    done = subprocess.run(list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _version(text: str, pattern: str) -> tuple[int, ...]:
    found = re.search(pattern, text)
    return tuple(map(int, found[1].split("."))) if found else ()


def _ssh() -> Finding:
    if not shutil.which(ssh.SSH):
        raise ssh.no_ssh()
    said = _said(ssh.SSH, "-V").strip()
    if _version(said, r"OpenSSH_(\d+\.\d+)") < _SSH_WANTED:
        return Finding("ssh", "warning", said, "this is older than what enc is tested with; upgrade openssh-client")
    return Finding("ssh", "ok", said.partition(",")[0])


def _sshfs() -> Finding:
    projects.need_sshfs()
    version = _version(_said(sshfs.SSHFS, "--version"), r"SSHFS version (\d+\.\d+(?:\.\d+)?)")
    name = f"sshfs {'.'.join(map(str, version)) or 'of an unknown version'}"
    if _FIXED not in _said(sshfs.SSHFS, "--help"):
        says = f"{name} lets a server's symlinks lead out of the mount (CVE-2026-47187)"
        return Finding("sshfs", "warning", says, "upgrade sshfs; Debian 12 has it right since 3.7.3-1.2~deb12u1")
    return Finding("sshfs", "ok", f"{name}, contains symlinks")


def _fuse() -> Finding:
    projects.need_sshfs()
    if os.geteuid() and not os.path.exists("/etc/mtab"):
        return Finding("fuse", "wrong", "/etc/mtab is missing", "ln -s /proc/self/mounts /etc/mtab")
    program = shutil.which("fusermount3")
    if os.geteuid() and program and not os.stat(program).st_mode & 0o4000:
        return Finding("fuse", "wrong", f"{program} is not setuid root", "install fuse3 again")
    return Finding("fuse", "ok", "/dev/fuse can be opened")


def _runtime() -> Finding:
    return Finding("runtime", "ok", f"state is kept in {store.runtime()}")


def _sleep() -> Finding:
    found = sleep_inhibitor.obstacle()
    if found is None:
        return Finding("sleep", "ok", "no systemd-logind suspends this machine")
    if found:
        fix = "apt install libglib2.0-bin polkitd, or your distribution's gdbus and polkit"
        return Finding("sleep", "warning", f"a suspend locks nothing beforehand: {found}", fix)
    return Finding("sleep", "ok", "a suspend waits until everything is locked")


def _agent() -> Finding:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return Finding("agent", "ok", "no ssh-agent: ssh asks for a key's passphrase itself")
    said = _said("ssh-add", "-l")
    if "ED25519" not in said:
        return Finding(
            "agent", "warning", "the ssh-agent has no Ed25519 key", "ssh-add ~/.ssh/id_ed25519, or name a key file"
        )
    return Finding("agent", "ok", "the ssh-agent has an Ed25519 key")


def _key(profile: Profile) -> Iterator[Finding]:
    if not profile.identity:
        return
    if not os.path.exists(profile.identity):
        yield Finding("key", "wrong", f"{profile.identity} does not exist", "ssh-keygen -t ed25519")
        return
    said = _said("ssh-keygen", "-lf", profile.identity)
    if "ED25519" not in said:
        yield Finding("key", "wrong", f"{profile.identity} is no Ed25519 key", "ssh-keygen -t ed25519")
    elif os.stat(profile.identity).st_mode & 0o077:
        yield Finding("key", "wrong", f"{profile.identity} can be read by others", f"chmod 600 {profile.identity}")
    else:
        yield Finding("key", "ok", said.split()[1])


def _gateway(profile: Profile) -> Iterator[Finding]:
    """The host key is checked by the same connection that everything else is."""
    try:
        about = ssh.ask_directly(profile, "whoami", extra={"BatchMode": "yes"})
    except EncError as error:
        yield Finding("gateway", "wrong", str(error), error.hint)
        return
    yield Finding("gateway", "ok", f"its host key is the known one; it takes you for {about['principal']}")
