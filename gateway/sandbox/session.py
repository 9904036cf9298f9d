"""The command line of a session's sandbox, in which the warden is PID 1.

The warden has CAP_SYS_ADMIN in it, to mount and unmount. It can see /usr, /etc, the gateway's code, its principal's
vaults (ciphertext), its session directory and the audit log. Views are mounted below /projects. Files of the host that
can be replaced while it lives are never bound one by one (`gateway.sandbox.host_files`).
"""

from __future__ import annotations

import sys

from gateway.base import interpreter
from gateway.base.records import Record
from gateway.sandbox import bubblewrap, host_files, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class HostPaths(Record):
    """The absolute paths of the host that a session's sandbox shows. `extra` are those that executions may read."""

    vaults: str
    session: str
    audit_directory: str
    syslog: str
    keys_directory: str
    extra: tuple[str, ...]


def session_argv(host: HostPaths, status_fd: int, command: Sequence[str]) -> list[str]:
    """bwrap for a session. It writes the warden's pid to `status_fd` and keeps that open until it ends, so that its
    closing tells the warden that bwrap was killed.
    """
    words = [
        bubblewrap.BWRAP,
        *bubblewrap.base_argv(),
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
    words += ["--bind", host.vaults, paths.VAULTS, "--bind", host.session, paths.SESSION]
    words += ["--bind", host.audit_directory, paths.AUDIT, "--ro-bind", host.keys_directory, paths.KEYS]
    private = (host.vaults, host.session, host.audit_directory, host.keys_directory)
    words += host_files.directories_argv(filter(None, (host.syslog, *host.extra)), private)
    words += ["--tmpfs", paths.WRITABLE_PROJECTS, "--dir", paths.PROJECTS, "--chdir", "/", "--"]
    return [*words, *command]
