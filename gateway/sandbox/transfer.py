"""The command line of a transfer's sandbox: sftp-server, scp or rsync, inside a session.

All namespaces are new again; there is no capability, no way to more namespaces, and no /proc. It sees /usr and
/projects. Mounts below /projects propagate from the session into it: a view that is locked is gone there too, and the
kernel refuses to unmount it while the program uses it.
"""

from __future__ import annotations

from gateway.base import process
from gateway.sandbox import bubblewrap, host_files, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAMS: Mapping[str, str] = {
    "sftp-server": "/usr/lib/openssh/sftp-server",
    "scp": "/usr/bin/scp",
    "rsync": "/usr/bin/rsync",
}
"""What a front may ask a warden to run."""


PACKAGES = {"sftp-server": "openssh-sftp-server", "scp": "openssh-client", "rsync": "rsync"}


def transfer_argv(program: str, arguments: Sequence[str], files: Mapping[str, int]) -> list[str]:
    """bwrap, inside a session, for one of PROGRAMS, with copies of `files` (path to descriptor). Only the views are
    writable: a file put elsewhere would be lost.

    Without /proc: through /proc/1/mem an sftp client could write code of its own into bubblewrap and have it run.
    """
    words = [bubblewrap.BWRAP, *bubblewrap.system_argv(), "--disable-userns", "--die-with-parent", "--new-session"]
    words += host_files.copies(files)
    for node in ("null", "zero", "urandom"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += ["--bind", paths.PROJECTS, paths.PROJECTS, "--setenv", "HOME", paths.PROJECTS, "--remount-ro", "/"]
    return [*words, "--chdir", paths.PROJECTS, "--", PROGRAMS[program], *arguments]


def require_program(program: str) -> None:
    process.require(PROGRAMS[program], PACKAGES[program])
