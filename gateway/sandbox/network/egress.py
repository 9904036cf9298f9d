"""Network for one program that reaches listed names alone: a proxy that listens in its otherwise empty network.

The program's network namespace has a loopback and no other interface, so there is no way out but the proxy, which the
environment names (`environment`). The proxy (gateway.sandbox.inside.egress) is in the host's network and in a sandbox:
it sees no vault, session or process, has no capability, and is under the system call filter of programs. It gets its
listening socket from outside, made in the program's namespace.

What it says of targets a process of its own records, for as long as there is the proxy: the front copies data
meanwhile, or is killed. When that cannot write the log, it ends, and the proxy with it: nothing is reached unrecorded.

The proxy ends with the front, however that ends.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from contextlib import ExitStack, contextmanager

from gateway.base import process
from gateway.base.records import Fd
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap, host_files, syscall_filter
from gateway.sandbox.inside import own_programs
from gateway.sandbox.network import namespaces, resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.audit.log import AuditLog
    from gateway.sandbox.target import Target

_ADDRESS = ("127.0.0.1", 3128)
"""In the program's own network."""
EVENT = "egress"
_READY = b"ready\n"
_MOST_LINES, _LONGEST_LINE = 400, 400
"""Of what the proxy says, which a program that took it over could say as well."""
_LINE = re.compile(r"(?:allow ([\w.:\[\]-]+)|deny ([a-z-]{1,20}) ([\w.:\[\]-]+)|more (\d{1,9}))\n", re.ASCII)
_FILES = (host_files.LINKER_CACHE, "/etc/hosts", "/etc/gai.conf")
_MADE = {
    own_programs.EGRESS: own_programs.SOURCES[own_programs.EGRESS],
    "/etc/nsswitch.conf": b"hosts: files dns\n",  # what other modules ask is not there
}
"""What the proxy finds beside /usr and resolv.conf."""


def environment() -> tuple[str, ...]:
    """NAME=VALUE of what makes curl, pip, npm, cargo, git and the like use the proxy, but not for its own loopback."""
    proxy = "http://{}:{}".format(*_ADDRESS)
    names = ("http_proxy", "https_proxy", "all_proxy")
    local = "localhost,127.0.0.1,::1"
    return (
        *(f"{name}={proxy}" for lower in names for name in (lower, lower.upper())),
        *(f"{name}={local}" for name in ("no_proxy", "NO_PROXY")),
    )


@contextmanager
def program_network(target: Target, listed: Sequence[str], run: str, audit: AuditLog) -> Iterator[Fd]:
    """The network namespace of a program of the session `target` that reaches what is `listed`, for the block.

    `run` is the run directory; `audit` gets an EVENT for each target. Raises Misconfigured, NotUnlocked, Internal.
    """
    with namespaces.created(target) as (inner, namespace), _proxy(inner, namespace, listed, run, audit):
        yield namespace


@contextmanager
def _proxy(inner: Fd, namespace: Fd, listed: Sequence[str], run: str, audit: AuditLog) -> Iterator[None]:
    """The proxy, and what records. At the end of the block, all that the proxy said is recorded."""
    with ExitStack() as running, ExitStack() as held, ExitStack() as given:
        lives, lifeline = os.pipe()
        held.callback(os.close, lifeline)
        said, says = (Fd(one.detach()) for one in socket.socketpair())
        listener = namespaces.listening(inner, namespace, _ADDRESS)
        filter_ = syscall_filter.open_filter(run)
        for fd in (lives, said, says, listener, filter_):
            given.callback(os.close, fd)
        recorder, told = process.fork(lambda tell: _record(said, audit, tell), (said,))
        held.callback(os.close, told)
        running.callback(_wait, recorder)
        files = given.enter_context(host_files.opened(_FILES, _MADE))
        argv = _sandbox_argv(listener, listed, filter_, files)
        pid = process.spawn(argv, {0: lives, 1: says}, (listener, filter_, *files.values()), own_group=True)
        running.callback(_wait, pid)
        given.close()
        if not process.wait_readable(told, namespaces.TIMEOUT_SECONDS) or not os.read(told, 1):
            raise Misconfigured("the gateway could not start the program's proxy", "run `enc-gateway doctor`")
        yield


def _wait(pid: int) -> None:
    if process.wait(pid, namespaces.TIMEOUT_SECONDS) is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _sandbox_argv(listener: Fd, listed: Sequence[str], filter_: Fd, files: dict[str, int]) -> list[str]:
    words = [bubblewrap.BWRAP, *bubblewrap.base_argv(), "--share-net", "--die-with-parent", "--new-session"]
    words += [*own_programs.interpreter_argv(), *host_files.copies_argv(files), *resolver.argv()]
    words += ["--seccomp", str(filter_), "--remount-ro", "/", "--"]
    return [*words, *own_programs.argv(own_programs.EGRESS, str(listener), *listed)]


def _record(said: int, audit: AuditLog, tell: Callable[[bytes], object]) -> None:
    """Record what the proxy says until its end, and answer each line; `tell` when it is ready. Raises Misconfigured
    where the log must be written and cannot be.
    """
    with open(said, "rb", closefd=False) as lines:
        for number in range(_MOST_LINES):
            line = lines.readline(_LONGEST_LINE)
            if number == 0 and line == _READY:
                tell(b".")
            elif found := _LINE.fullmatch(line.decode("ascii", "replace")):
                audit.write(EVENT, **_fields(*found.groups()))
            else:
                return
            os.write(said, b".")


def _fields(allowed: str | None, reason: str | None, refused: str | None, more: str | None) -> dict[str, object]:
    if allowed:
        return {"decision": "allow", "target": allowed}
    if more:
        return {"decision": "deny", "reason": "not-recorded", "more": int(more)}
    return {"decision": "deny", "reason": reason, "target": refused}
