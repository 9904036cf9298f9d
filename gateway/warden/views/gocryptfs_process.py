"""The gocryptfs process that serves one view: a child takes the vault's lock, becomes gocryptfs, and serves or fails.

The vault's lock and the place that the view takes are in its hands alone, for even a close(2) can wait for a disk:
nobody else has the vault while it lives, whatever becomes of the warden, and both are free once it has ended.
"""

from __future__ import annotations

import os
import signal

from gateway.base import process
from gateway.base.interpreter import python
from gateway.errors import Busy, DamagedVault, EncError, Internal, Misconfigured, of_storage
from gateway.limits.disk import usage
from gateway.sandbox.paths import VAULTS
from gateway.session import protocol
from gateway.vault import ciphertext, gocryptfs, lease, link_guard, store
from gateway.vault.store import Vault
from gateway.warden import mounts
from gateway.warden.loop import READ, Loop
from gateway.warden.programs import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import ProjectName
    from gateway.session.protocol import Unlock
    from gateway.session.spec import Quota
    from gateway.vault.lease import LeaseHolder

_SECONDS = 60.0
"""For reading the vault and for scrypt, on a machine that has much else to do."""
_YES, _NO, _FAILED = range(3)
"""Exit statuses of a child that was asked something."""


class GocryptfsProcess:
    """`pid` is 0 when it does not run; `idle_limit` is what the vault asks for (seconds, 0: the usual), once it serves.

    `concluded` is called once: with None when it serves, with the error when it does not and has been killed. `ended`
    is called when it has ended, after `concluded` unless that is what tells.
    """

    def __init__(
        self,
        loop: Loop,
        project: ProjectName,
        concluded: Callable[[EncError | None], None],
        ended: Callable[[], None],
    ) -> None:
        self.pid = 0
        self.idle_limit = 0
        self._loop = loop
        self._project = project
        self._concluded: Callable[[EncError | None], None] | None = concluded
        self._ended = ended
        self._output = b""
        self._told = -1
        self._kind = ""

    def start(self, request: Unlock, fuse: int, holder: LeaseHolder, quota: Quota | None, hard_links: bool) -> None:
        """On the FUSE descriptor `fuse`, which is the caller's as those of `request` are. Raises EncError, OSError."""
        self._kind = request.slot_kind
        reader, writer = os.pipe2(os.O_CLOEXEC)
        passed = [request.secret, fuse, request.place, *([quota.ledger] if quota else [])]

        def become(tell: Callable[[bytes], object]) -> None:
            try:
                _become_gocryptfs(request, fuse, writer, passed, holder, quota, hard_links, tell)
            except EncError as error:
                tell(protocol.encode(protocol.failed(error))[0])
            except OSError as error:
                failed = protocol.failed(of_storage(error, "the gateway cannot use the disk of its vaults"))
                tell(protocol.encode(failed)[0])

        try:
            self.pid, self._told = process.fork(become, [writer, *passed])
        except EncError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._loop.on_exit(self.pid, self._exited)
        self._loop.watch(reader, READ, lambda _: self._read(reader))
        self._loop.at(_SECONDS, lambda: self._fail(Busy("the disk of the gateway's vaults does not answer")))

    def kill(self) -> None:
        """SIGKILL, which does not work at once on what is stuck in the kernel. `concluded` is not called any more."""
        self._concluded = None
        if self.pid:
            processes.kill(self.pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        return not self.pid

    def _read(self, fd: int) -> None:
        """gocryptfs's own words: looked at until it serves, thrown away after, for they can name files."""
        chunk = os.read(fd, 4096)
        if not chunk:
            self._loop.unwatch(fd)
            os.close(fd)
        elif self._concluded:
            self._output = (self._output + chunk)[-4096:]
            if gocryptfs.READY in self._output:
                self._output = b""
                self._look_inside()

    def _look_inside(self) -> None:
        """A FUSE root belongs to uid 0 until its attributes are asked for, and the kernel lets nobody write to an inode
        whose owner this user namespace does not map: the first file put would be refused. Listing it asks for them.
        """
        try:
            looking, reader = process.fork(lambda _: self._exit_with_what_it_shows())
        except EncError as error:
            self._fail(error)
            return
        os.close(reader)
        self._loop.on_exit(looking, self._serves)

    def _exit_with_what_it_shows(self) -> None:
        """In a child: whether the key of this gocryptfs is the vault's."""
        status = _FAILED
        try:
            vault = Vault(name=self._project, path=os.path.join(VAULTS, self._project))
            status = _YES if ciphertext.is_decrypted(vault.cipher, mounts.path(self._project)) else _NO
        finally:
            os._exit(status)

    def _serves(self, fits: int) -> None:
        if not (self.pid and self._concluded):
            return
        if fits == _YES:
            self.idle_limit = int(self._what_was_told().partition(b"\n")[0] or 0)
            self._conclude(None)
        else:
            self._fail(_another_key(self._project) if fits == _NO else _not_listed(self._project))

    def _fail(self, error: EncError) -> None:
        """It does not serve, and lives."""
        if self.pid and (tell := self._concluded):
            self.kill()
            tell(error)

    def _exited(self, status: int) -> None:
        self.pid = 0
        told = self._what_was_told()
        if self._concluded:
            self._conclude(_refusal(told) or gocryptfs.failure(status, self._kind))
        self._ended()

    def _conclude(self, error: EncError | None) -> None:
        tell, self._concluded = self._concluded, None
        if tell:
            tell(error)

    def _what_was_told(self) -> bytes:
        """What `_become_gocryptfs` told; the first time."""
        if self._told < 0:
            return b""
        try:
            return os.read(self._told, 4096)
        except BlockingIOError:
            return b""
        finally:
            os.close(self._told)
            self._told = -1


def _become_gocryptfs(
    request: Unlock,
    fuse: int,
    output: int,
    passed: list[int],
    holder: LeaseHolder,
    quota: Quota | None,
    hard_links: bool,
    tell: Callable[[bytes], object],
) -> None:
    """In a child: take the vault's lock, tell the idle limit of the project, and become gocryptfs."""
    vault = store.find(VAULTS, request.project)
    store.check(vault)
    lock = lease.acquire(vault, holder)
    tell(b"%d\n" % store.idle_limit(vault))
    config = store.open_config(vault, request.slot, request.slot_id)
    argv = gocryptfs.mount_argv(vault.cipher, config, request.secret, fuse)
    if quota:
        limit = str(quota.disk * usage.MEBI)
        argv = python("gateway/limits/disk/supervisor.py", VAULTS, limit, str(quota.ledger), *argv)
    if not hard_links:
        link_guard.install()
    process.become(argv, {1: output, 2: output}, [*passed, config, lock])


def _refusal(told: bytes) -> EncError | None:
    """The error in what `_become_gocryptfs` told."""
    try:
        message = protocol.decode(told.rpartition(b"\n")[2])
    except protocol.Malformed:
        return None
    return protocol.error_of(message) if isinstance(message, protocol.Failed) else Internal("the vault was not opened")


def _another_key(project: str) -> EncError:
    hint = "nothing was written; a sysadmin can restore slots/ from a backup"
    return DamagedVault(f"{project} is damaged: its unlock slot has the key of another project", hint)


def _not_listed(project: str) -> EncError:
    return Misconfigured(f"the gateway's disk does not let {project} be listed", "tell your sysadmin")
