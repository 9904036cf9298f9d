"""The host's sshd: does it take its configuration, what does that come to, and reading it again.

Nothing here writes to /etc/ssh; `gateway.install.dropin` does.
"""

from __future__ import annotations

import os
import signal

from gateway.base import process
from gateway.errors import Misconfigured

PROGRAM = "/usr/sbin/sshd"
CONFIG = "/etc/ssh/sshd_config"
DROP_IN = "/etc/ssh/sshd_config.d/50-enc.conf"
_RUN = "/run/sshd"
SYSTEMCTL = "/usr/bin/systemctl"
_SYSTEMD = "/run/systemd/system"
_NOT_RUNNING = "no sshd runs here: it reads its configuration when it is started"


def require() -> None:
    """Raise Misconfigured unless there is an sshd."""
    process.require(PROGRAM, "openssh-server")


def make_run_directory() -> None:
    """sshd as root does not even check a configuration without it; it is on a tmpfs, and the service makes it."""
    os.makedirs(_RUN, 0o755, exist_ok=True)


def complaint(config: str = CONFIG) -> str:
    """What `sshd -t` has against a configuration; "" for nothing."""
    make_run_directory()
    status, said = process.run([PROGRAM, "-t", "-f", config])
    return (_first_line(said) or f"it ended with {status}") if status else ""


def effective(account: str) -> dict[str, str]:
    """The configuration that a login as `account` meets: keyword (lower case) to value (several joined by a line end).

    Raises Misconfigured when sshd does not say.
    """
    make_run_directory()
    # an address of documentation (RFC 5737): what a stranger's login meets
    status, said = process.run([PROGRAM, "-T", "-C", f"user={account},host=elsewhere.example,addr=192.0.2.1"])
    if status:
        raise Misconfigured("sshd does not take its configuration", _first_line(said))
    found: dict[str, str] = {}
    for line in said.splitlines():
        keyword, _, value = line.partition(" ")
        found[keyword] = f"{found[keyword]}\n{value}" if keyword in found else value
    return found


def _first_line(said: str) -> str:
    """Of several complaints the first; the last only says that there were some."""
    return said.strip().partition("\n")[0].strip()


def has_systemd() -> bool:
    """Whether systemd runs this host."""
    return os.path.isdir(_SYSTEMD)


def listener() -> int | None:
    """The pid of the sshd that accepts logins by CONFIG, as its pid file says; None when there is none."""
    path = effective("root").get("pidfile", "none")
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        program = os.readlink(f"/proc/{pid}/exe")
    except (OSError, ValueError):
        return None
    return pid if program.removesuffix(" (deleted)") == PROGRAM else None


def serves() -> bool:
    """Whether somebody accepts logins: sshd, or (Ubuntu 24.04) systemd, which starts it for the first one."""
    return (has_systemd() and _is_active("ssh.socket")) or listener() is not None


def _is_active(unit: str) -> bool:
    return process.run([SYSTEMCTL, "is-active", "--quiet", unit])[0] == 0


def reload() -> str:
    """Have the running sshd read its configuration again, which live connections do not notice; what was done."""
    if has_systemd():
        status, said = process.run([SYSTEMCTL, "try-reload-or-restart", "ssh.service"])
        if status:
            raise Misconfigured("systemctl could not reload ssh.service", said.strip())
        return "reloaded ssh.service" if _is_active("ssh.service") else _NOT_RUNNING
    pid = listener()
    if pid is None:
        return _NOT_RUNNING
    os.kill(pid, signal.SIGHUP)
    return f"reloaded sshd ({pid})"
