"""The host's sshd: check its configuration, read the effective values, reload it.

Nothing here writes to /etc/ssh; `gateway.install.dropin` does.
"""

from __future__ import annotations

import os
import signal

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.sandbox.paths import SSHD

CONFIG = "/etc/ssh/sshd_config"
DROP_IN = "/etc/ssh/sshd_config.d/50-enc.conf"
_RUN_DIRECTORY = "/run/sshd"
SYSTEMCTL = "/usr/bin/systemctl"
_SYSTEMD_DIRECTORY = "/run/systemd/system"
_NOT_RUNNING = "sshd is not running; it reads the configuration when you start it"


def require() -> None:
    """Raise Misconfigured unless sshd is installed."""
    process.require(SSHD, "openssh-server")


def make_run_directory() -> None:
    """Make /run/sshd. As root, sshd needs it even for `-t`; it is on a tmpfs, and only the service makes it."""
    os.makedirs(_RUN_DIRECTORY, 0o755, exist_ok=True)


def config_error(config: str = CONFIG) -> str:
    """The first error that `sshd -t` reports for a configuration; "" for none."""
    make_run_directory()
    status, output = process.run([SSHD, "-t", "-f", config])
    return (_first_line(output) or f"it ended with {status}") if status else ""


def effective(account: str) -> dict[str, str]:
    """The configuration for a login as `account` (sshd -T): keyword in lower case to value. The values of a repeated
    keyword are joined by line ends. Raises Misconfigured when sshd fails.
    """
    make_run_directory()
    # the address is one for documentation (RFC 5737), so that no Match block for a real one applies
    status, output = process.run([SSHD, "-T", "-C", f"user={account},host=elsewhere.example,addr=192.0.2.1"])
    if status:
        raise Misconfigured("sshd's configuration is invalid", _first_line(output))
    found: dict[str, str] = {}
    for line in output.splitlines():
        keyword, _, value = line.partition(" ")
        found[keyword] = f"{found[keyword]}\n{value}" if keyword in found else value
    return found


def _first_line(output: str) -> str:
    """Of several errors the first; the last line only says that there were some."""
    return output.strip().partition("\n")[0].strip()


def has_systemd() -> bool:
    """Whether systemd is running."""
    return os.path.isdir(_SYSTEMD_DIRECTORY)


def listener() -> int | None:
    """The pid of the running sshd that uses CONFIG, from its pid file; None when there is none."""
    path = effective("root").get("pidfile", "none")
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        program = os.readlink(f"/proc/{pid}/exe")
    except (OSError, ValueError):
        return None
    return pid if program.removesuffix(" (deleted)") == SSHD else None


def accepts_logins() -> bool:
    """Whether logins are accepted: by sshd, or (Ubuntu 24.04) by systemd, which starts sshd for the first one."""
    return (has_systemd() and _is_active("ssh.socket")) or listener() is not None


def _is_active(unit: str) -> bool:
    return process.run([SYSTEMCTL, "is-active", "--quiet", unit])[0] == 0


def reload() -> str:
    """Reload the running sshd; live connections continue. Returns what was done, for a person."""
    if has_systemd():
        status, output = process.run([SYSTEMCTL, "try-reload-or-restart", "ssh.service"])
        if status:
            raise Misconfigured("systemctl could not reload ssh.service", output.strip())
        return "reloaded ssh.service" if _is_active("ssh.service") else _NOT_RUNNING
    pid = listener()
    if pid is None:
        return _NOT_RUNNING
    os.kill(pid, signal.SIGHUP)
    return f"reloaded sshd (pid {pid})"
