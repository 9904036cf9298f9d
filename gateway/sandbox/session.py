"""The command line of a session's sandbox, in which the warden is PID 1.

The warden has CAP_SYS_ADMIN there, to mount and unmount. It sees /usr, the gateway's own code, its principal's vaults
(ciphertext), its own session directory and the audit log. Views appear below /projects.
"""

from __future__ import annotations

import sys

from gateway.base import interpreter
from gateway.base.records import Record
from gateway.sandbox import bubblewrap, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Ground(Record):
    """What of the host a session's sandbox is made of; all absolute paths. `extra` is what executions may read."""

    vaults: str
    session: str
    audit_directory: str
    syslog: str
    keys_directory: str
    extra: tuple[str, ...]


def session_argv(ground: Ground, passwd_fd: int, status_fd: int, command: Sequence[str]) -> list[str]:
    """bwrap for a session. It reads the sandbox's /etc/passwd from `passwd_fd`, writes the warden's pid to `status_fd`
    and keeps that open for life, so its end tells the warden that bwrap was killed.
    """
    words = [
        bubblewrap.BWRAP,
        *bubblewrap.system_argv(),
        "--as-pid-1",
        "--cap-add",
        "CAP_SYS_ADMIN",
        "--json-status-fd",
        str(status_fd),
    ]
    words += ["--proc", "/proc", "--dir", "/tmp", "--dir", paths.TERMINALS]  # noqa: S108 - the sandbox's own
    for node in ("null", "zero", "full", "random", "urandom", "tty", "fuse"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--file", str(passwd_fd), "/etc/passwd", "--symlink", "/proc/self/mounts", "/etc/mtab"]
    for path in dict.fromkeys((sys.base_prefix, interpreter.code_root())):
        if not path.startswith("/usr/") and path != "/usr":
            words += ["--ro-bind", path, path]
    words += ["--ro-bind-try", "/etc/localtime", "/etc/localtime"]  # by which expiry times of keys are read
    words += ["--bind", ground.vaults, paths.VAULTS, "--bind", ground.session, paths.SESSION]
    words += ["--bind", ground.audit_directory, paths.AUDIT, "--ro-bind", ground.keys_directory, paths.KEYS]
    if ground.syslog:
        words += ["--ro-bind-try", ground.syslog, ground.syslog]
    for path in (*paths.SHARED_PATHS, *ground.extra):
        words += ["--ro-bind-try", path, path]
    words += ["--tmpfs", paths.WRITABLE_PROJECTS, "--dir", paths.PROJECTS, "--chdir", "/", "--"]
    return [*words, *command]
