"""`enc-gateway host follow`: keep this host's copy of what the hosts of its cluster share, until SIGTERM.

Three processes, each a loop: this one copies authorized_keys and then says that the copy is fresh; its children have
what the hosts tell each other (gateway.cluster.exchange) and the quotas (gateway.cluster.quotas), which may wait for a
host that has died. Each hangs when the store does. Then the copy gets old, which is the sign for whoever reads it.
"""

from __future__ import annotations

import os
import signal

import structlog

from gateway.base import process
from gateway.base.clock import boottime
from gateway.base.records import Record
from gateway.cluster import places
from gateway.cluster.exchange import Exchange
from gateway.cluster.key_copy import KeyCopy, Unreadable
from gateway.cluster.quotas import Quotas
from gateway.errors import Misconfigured
from gateway.identity.key_status import DOUBT_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.config.schema import Config

    Tell = Callable[[bytes], object]
    Step = Callable[[], tuple[str, ...]]

SECONDS = 1.0
"""From one look to the next."""
_LAST_STEP_SECONDS = 2.0
"""For the child to tell the others what sessions are left, when we end."""
_NOTHING_WRONG = "nothing"

log = structlog.get_logger()


def run(path: str, config: Config, host_key: Path | None = None) -> None:
    """Follow until SIGTERM, SIGINT or SIGHUP, with the configuration `config`, which is that of the file `path`.
    `host_key` is sshd's public key. Raises Misconfigured when this is no host of a cluster.
    """
    _require_places(config)
    _make_directory(places.copy(config))
    stop = _Stop()
    children = (
        _Child(_EXCHANGE, lambda: Exchange(config, host_key).step),
        _Child(_QUOTAS, lambda: Quotas(path, config).step),
    )
    keys, trouble = KeyCopy(config), _Trouble()
    try:
        while not stop.is_asked:
            began = boottime()
            trouble.is_now(_look(keys, config))
            for child in children:
                child.tend()
            due = DOUBT_SECONDS if keys.is_in_doubt else SECONDS
            stop.wait(max(0.0, began + due - boottime()))
    finally:
        for child in children:
            child.end()


def _require_places(config: Config) -> None:
    if not places.is_cluster(config):
        raise Misconfigured("this host is in no cluster", "`enc-gateway setup --cluster` says how one is made")
    if os.path.realpath(places.copy(config)) == os.path.realpath(config.cluster_directory):
        raise Misconfigured(
            "paths.authorized_keys is the master itself", "name a file in a directory of its own, on a tmpfs"
        )


def _make_directory(path: str) -> None:
    """The directory of the copy: on a tmpfs, it is gone after a boot."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        os.chmod(path, 0o755)  # noqa: S103 - sshd and sessions read it
    except OSError as error:
        raise Misconfigured(f"{path} cannot be made", error.strerror) from error


def _look(keys: KeyCopy, config: Config) -> str:
    """Copy the keys. Returns what is wrong; if nothing is, the copy is as old as the look: a store may take long to
    answer, and a host may be suspended meanwhile.
    """
    began = boottime()
    try:
        keys.look()
        _refresh(os.path.join(places.copy(config), places.FRESH), began)
    except Unreadable as problem:
        return str(problem)
    except OSError as error:
        return f"{error.filename or places.copy(config)} cannot be written: {error.strerror}"
    return ""


def _refresh(path: str, moment: float) -> None:
    at = int(moment * 1e9)
    try:
        os.utime(path, ns=(at, at))
    except FileNotFoundError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        os.utime(path, ns=(at, at))


class _Trouble:
    """Logs what is wrong when that changes."""

    def __init__(self) -> None:
        self._known = ""

    def is_now(self, trouble: str) -> None:
        if trouble and trouble != self._known:
            log.warning("the keys cannot be followed", error=trouble)
        elif not trouble and self._known:
            log.info("the keys are followed again")
        self._known = trouble


class _Stop:
    """Signals to stop: `is_asked`, and what wakes us."""

    def __init__(self) -> None:
        self.is_asked = False
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.is_asked = True

    def wait(self, seconds: float) -> None:
        """Until a signal, or for `seconds`."""
        process.wait_readable(self._reader, seconds)


class _Words(Record):
    """For the log: that a child has ended, that something is wrong, and that nothing is any more."""

    ended: str
    wrong: str
    right: str


_EXCHANGE = _Words(
    ended="the exchange with the other hosts ended; it begins again",
    wrong="the hosts do not exchange what they say",
    right="the hosts exchange what they say again",
)
_QUOTAS = _Words(
    ended="the process that sets disk quotas ended; it begins again",
    wrong="disk quotas are not set",
    right="disk quotas are set again",
)


class _Child:
    """A process that calls the step that `begin` returns; it is started again when it has ended."""

    def __init__(self, words: _Words, begin: Callable[[], Step]) -> None:
        self._words = words
        self._begin = begin
        self._pid, self._reader = self._start()

    def _start(self) -> tuple[int, int]:
        parent, begin = os.getpid(), self._begin
        return process.fork(lambda tell: _loop(begin(), parent, tell))

    def tend(self) -> None:
        """Log what it tells, and start it again if it has ended. Raises Misconfigured as `process.fork` does."""
        self._log()
        if os.waitpid(self._pid, os.WNOHANG)[0]:
            os.close(self._reader)
            log.warning(self._words.ended)
            self._pid, self._reader = self._start()

    def _log(self) -> None:
        try:
            said = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return
        for line in said.decode(errors="replace").splitlines():
            if line == _NOTHING_WRONG:
                log.info(self._words.right)
            else:
                log.warning(self._words.wrong, error=line)

    def end(self) -> None:
        """Have it do a last step, to tell the others; a store that does not answer is not waited for."""
        os.kill(self._pid, signal.SIGTERM)
        if process.wait(self._pid, _LAST_STEP_SECONDS) is None:
            os.kill(self._pid, signal.SIGKILL)
        self._log()
        os.close(self._reader)


def _loop(step: Step, parent: int, tell: Tell) -> None:
    """A child's loop. It tells what is wrong when that changes."""
    stop, known = _Stop(), ""
    while True:
        began, last = boottime(), stop.is_asked or os.getppid() != parent
        wrong = "; ".join(step())
        if wrong != known:
            tell(f"{wrong or _NOTHING_WRONG}\n".encode())
        known = wrong
        if last:
            return
        stop.wait(max(0.0, began + SECONDS - boottime()))
