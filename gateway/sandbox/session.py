"""The command line of a session's sandbox, in which the warden is PID 1.

The warden has CAP_SYS_ADMIN there, to mount and unmount. It sees /usr and /etc, the gateway's own code, its principal's
vaults (ciphertext), its own session directory and the audit log. Views appear below /projects.

Of /etc and what else of the host may be replaced meanwhile it has directories, and no file by itself
(gateway.sandbox.host_files).
"""

from __future__ import annotations

import sys

from gateway.base import interpreter
from gateway.base.records import Record
from gateway.sandbox import bubblewrap, host_files, paths

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


def session_argv(ground: Ground, status_fd: int, command: Sequence[str]) -> list[str]:
    """bwrap for a session. It writes the warden's pid to `status_fd` and keeps that open for life, so its end tells the
    warden that bwrap was killed.
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
    words += ["--ro-bind", "/etc", "/etc"]
    for path in dict.fromkeys((sys.base_prefix, interpreter.code_root())):
        if not path.startswith("/usr/") and path != "/usr":
            words += ["--ro-bind", path, path]
    words += ["--bind", ground.vaults, paths.VAULTS, "--bind", ground.session, paths.SESSION]
    words += ["--bind", ground.audit_directory, paths.AUDIT, "--ro-bind", ground.keys_directory, paths.KEYS]
    private = (ground.vaults, ground.session, ground.audit_directory, ground.keys_directory)
    words += host_files.directories(filter(None, (ground.syslog, *ground.extra)), private)
    words += ["--tmpfs", paths.WRITABLE_PROJECTS, "--dir", paths.PROJECTS, "--chdir", "/", "--"]
    return [*words, *command]
