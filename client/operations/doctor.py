"""What is missing or wrong on this machine, and how to fix it. Each check is a function that changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

from client.background import sleep_inhibitor
from client.connection import request, ssh, ssh_errors, ssh_keygen
from client.errors import EncError, NotAccepted
from client.mount import sshfs
from client.state import config, runtime_dir
from client.state.config import GatewayOptions, Profile

_FIXED_OPTION = "contain_symlinks"
"""An sshfs with this option is without CVE-2026-47187 (a server's symlinks lead out of the mount) and CVE-2026-48711.
Distributions have fixed both in versions with older numbers (see Debian's changelog), so the version does not tell."""
_OLDEST_SSH = (8, 7)
"""The first OpenSSH with all options that enc uses; older ones are not tested."""
_MAKE_KEY = "ssh-keygen -t ed25519"
_ACCEPTED = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")
_MOST_KEYS = 5
"""How many keys sshd lets a client try (MaxAuthTries 6, and ssh asks once without a key)."""


class Finding(NamedTuple):
    """`level` is ok, warning or wrong; `fix` says what to do."""

    about: str
    level: str
    says: str
    fix: str = ""


def examine(given: GatewayOptions) -> Iterator[Finding]:
    """All findings: programs first, then the config, then the gateway."""
    for check in (_ssh, _sshfs, _fuse, _runtime, _sleep, _agent):
        yield from _guarded(check)
    try:
        profile = config.choose(given)
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


def _output(*argv: str) -> str:
    done = subprocess.run(
        list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout + done.stderr


def _version(text: str, pattern: str) -> tuple[int, ...]:
    found = re.search(pattern, text)
    return tuple(map(int, found[1].split("."))) if found else ()


def _ssh() -> Finding:
    if not shutil.which(ssh.SSH):
        raise ssh_errors.not_installed()
    version = _output(ssh.SSH, "-V").strip()
    if _version(version, r"OpenSSH_(\d+\.\d+)") < _OLDEST_SSH:
        return Finding("ssh", "warning", version, "enc is not tested with a version this old; upgrade openssh-client")
    return Finding("ssh", "ok", version.partition(",")[0])


def _sshfs() -> Finding:
    sshfs.check_installed()
    version = _version(_output(sshfs.SSHFS, "--version"), r"SSHFS version (\d+\.\d+(?:\.\d+)?)")
    name = f"sshfs {'.'.join(map(str, version)) or 'of an unknown version'}"
    if _FIXED_OPTION not in _output(sshfs.SSHFS, "--help"):
        says = f"{name} lets a server's symlinks lead out of the mount (CVE-2026-47187)"
        return Finding("sshfs", "warning", says, "upgrade sshfs; Debian 12 has the fix since 3.7.3-1.2~deb12u1")
    return Finding("sshfs", "ok", f"{name}, contains symlinks")


def _fuse() -> Finding:
    sshfs.check_installed()
    if os.geteuid() and not os.path.exists("/etc/mtab"):
        return Finding("fuse", "wrong", "/etc/mtab is missing", "ln -s /proc/self/mounts /etc/mtab")
    program = shutil.which("fusermount3")
    if os.geteuid() and program and not os.stat(program).st_mode & 0o4000:
        return Finding("fuse", "wrong", f"{program} is not setuid root", "install fuse3 again")
    return Finding("fuse", "ok", "/dev/fuse can be opened")


def _runtime() -> Finding:
    if runtime_dir.is_fallback():
        says = f"XDG_RUNTIME_DIR is not set, so state is kept in {runtime_dir.path()}"
        return Finding("runtime", "ok", says, "nothing has to be done")
    return Finding("runtime", "ok", f"state is kept in {runtime_dir.path()}")


def _sleep() -> Finding:
    why = sleep_inhibitor.why_unavailable()
    if why is None:
        return Finding("sleep", "ok", "no systemd-logind suspends this machine")
    if why:
        fix = "apt install libglib2.0-bin polkitd, or your distribution's gdbus and polkit"
        return Finding("sleep", "warning", f"enc cannot lock before a suspend: {why}", fix)
    return Finding("sleep", "ok", "a suspend waits until everything is locked")


def _agent() -> Finding:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return Finding("agent", "ok", "no ssh-agent: ssh itself asks for the passphrase of your key")
    kinds = [line.split(" ", 1)[0] for line in _output("ssh-add", "-L").splitlines()]
    count = len([kind for kind in kinds if kind in _ACCEPTED])
    if not count:
        fix = "ssh-add ~/.ssh/id_ed25519, or name a key file in the config"
        return Finding("agent", "warning", "the ssh-agent has no Ed25519 key", fix)
    if count > _MOST_KEYS:
        says = f"the ssh-agent has {count} Ed25519 keys; a gateway waits for {_MOST_KEYS}, so ssh may not get to yours"
        return Finding("agent", "warning", says, "name your key: `identity` in the config, or -i")
    return Finding("agent", "ok", "the ssh-agent has an Ed25519 key")


def _key(profile: Profile) -> Iterator[Finding]:
    path = profile.identity
    if not path:
        return
    if not os.path.exists(path):
        yield Finding("key", "wrong", f"there is no key file {path}", _MAKE_KEY)
        return
    info = ssh_keygen.describe(path)
    if info is None or "ED25519" not in info.kind:  # also ED25519-SK
        yield Finding("key", "wrong", f"{path} is not an Ed25519 key", _MAKE_KEY)
    elif os.stat(path).st_mode & 0o077:
        yield Finding("key", "wrong", f"{path} can be read by others", f"chmod 600 {path}")
    else:
        yield Finding("key", "ok", info.fingerprint)


def _advice(profile: Profile, error: EncError) -> str:
    """What to do about a gateway that cannot be used. Others send to `enc doctor`, which is us."""
    if "`enc doctor`" not in error.hint:
        return error.hint
    if profile.waiting:
        return f"your key {profile.waiting} waits for your sysadmin to approve it"
    if isinstance(error, NotAccepted):
        tell = ", and tell them the fingerprint above" if profile.identity else ""
        return f"your sysadmin does not know this key, or has removed it; ask them{tell}"
    return f"`ssh -v {profile.host}` says more"


def _gateway(profile: Profile) -> Iterator[Finding]:
    """The connection checks the host key like every other one."""
    try:
        about = request.send_directly(profile, "whoami", extra={"BatchMode": "yes"})
    except EncError as error:
        yield Finding("gateway", "wrong", str(error), _advice(profile, error))
        return
    yield Finding("gateway", "ok", f"connected as {about['principal']}; its host key is the known one")
