"""The command line of a transfer's sandbox: for sftp-server, scp or rsync inside a session.

All namespaces are new, it has no capabilities, cannot create namespaces, and has no /proc. It can see /usr and
/projects. Mounts below /projects propagate into it from the session: a view that is unmounted in the session is
unmounted here as well, and the kernel refuses to unmount it while the program uses it.
"""

from __future__ import annotations

from gateway.base import process
from gateway.sandbox import bubblewrap, host_files, paths
from gateway.sandbox.inside import own_programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.sandbox.paths import Shown

PROGRAMS: Mapping[str, str] = {
    "sftp-server": "/usr/lib/openssh/sftp-server",
    "scp": "/usr/bin/scp",
    "rsync": "/usr/bin/rsync",
}
"""The programs that a front may ask a warden to run."""

ONLY_READS: Mapping[str, tuple[str, ...]] = {"sftp-server": ("-R",)}
"""Arguments for who cannot write: the client gets a plain refusal. What confines it is the sandbox."""

PACKAGES = {"sftp-server": "openssh-sftp-server", "scp": "openssh-client", "rsync": "rsync"}


def transfer_argv(
    program: str,
    arguments: Sequence[str],
    files: Mapping[str, int],
    patterns: Sequence[str] = (),
    shown: Shown = paths.ALL,
) -> list[str]:
    """bwrap, inside a session, for one of PROGRAMS, with copies of `files` (path to descriptor).

    `patterns` are those of the last arguments ("" for none): the program gets the names of the files that they match.
    `files` then has own_programs.GLOBBING.

    Only the views are writable, if `shown` says so: a file elsewhere would be lost.

    There is no /proc: through /proc/1/mem an sftp client could write its own code into bubblewrap, which would run it.
    """
    words = [bubblewrap.BWRAP, *bubblewrap.base_argv(), "--disable-userns", "--die-with-parent", "--new-session"]
    words += host_files.copies_argv(files)
    for node in ("null", "zero", "urandom"):
        words += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    words += [*shown.argv(), "--setenv", "HOME", paths.PROJECTS]
    words += own_programs.interpreter_argv() if patterns else []
    words += ["--remount-ro", "/", "--chdir", paths.PROJECTS, "--"]
    if not patterns:
        return [*words, PROGRAMS[program], *arguments]
    first = len(arguments) - len(patterns)
    pairs = (word for pair in zip(arguments[first:], patterns, strict=True) for word in pair)
    globbing = own_programs.argv(own_programs.GLOBBING, PROGRAMS[program], str(first), *arguments[:first], *pairs)
    return [*words, *globbing]


def require_program(program: str) -> None:
    """Raise Misconfigured unless `program`, one of PROGRAMS, is installed."""
    process.require(PROGRAMS[program], PACKAGES[program])
