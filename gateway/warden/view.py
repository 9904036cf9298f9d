"""One view: from a passphrase in a pipe to a mounted file system, and back to ciphertext alone."""

from __future__ import annotations

import os
import signal

from gateway.base import process, syscalls
from gateway.base.clock import utc_now
from gateway.base.interpreter import python
from gateway.errors import DamagedVault, EncError, Misconfigured, WrongSecret
from gateway.limits import backoff
from gateway.limits.disk import usage
from gateway.sandbox.paths import VAULTS
from gateway.vault import ciphertext, gocryptfs, lease, store
from gateway.vault.lease import LeaseHolder
from gateway.warden import mounts, processes
from gateway.warden.loop import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import ProjectName
    from gateway.session.protocol import Unlock
    from gateway.session.spec import Quota
    from gateway.warden.programs import Programs

_FLUSH = 10.0
_EXIT = 5.0
_YES, _NO, _FAILED = range(3)
"""Exit statuses of a child that was asked something."""


class View:
    """`since` (UTC, RFC 3339) is empty until the view is live.

    The vault's lock is held from `unlock` until the view is gone. `unlock` answers later, through `unlocked(None)`
    or `unlocked(error)`; `died` is called when gocryptfs ends by itself under a live view. `quota` is of all vaults of
    the principal.
    """

    def __init__(self, loop: Loop, project: ProjectName, holder: LeaseHolder, quota: Quota | None) -> None:
        self.project = project
        self.since = ""
        self._abandoned = False
        self._quota = quota
        self._loop = loop
        self._vault = store.find(VAULTS, project)
        store.check(self._vault)
        self._lock = lease.acquire(self._vault, holder)
        self._holds_vault = True
        self._pid = 0
        self._output = b""
        self._attempt: int | None = None
        self._place: int | None = None
        self._stuck = False
        self._refused: EncError | None = None

    @property
    def idle_limit(self) -> int:
        """Seconds, as the project asks for; 0 for the usual."""
        return store.idle_limit(self._vault)

    @property
    def device(self) -> str:
        return mounts.device(self.project)

    @property
    def pid(self) -> int:
        """gocryptfs's, 0 when it has ended."""
        return self._pid

    def unlock(self, request: Unlock, unlocked: Callable[[EncError | None], None], died: Callable[[], object]) -> None:
        """Start gocryptfs on the passphrase. The descriptors are the caller's: we keep a copy of `attempt` until the
        answer, and one of `place` until the view is gone.
        """
        self._attempt, self._place = os.dup(request.attempt), os.dup(request.place)
        self._unlocked, self._died = unlocked, died
        try:
            config = store.open_config(self._vault, request.slot)
        except EncError as error:
            self._conclude(error)
            return
        try:
            fuse = mounts.attach_fuse(self.project)
        except OSError as error:
            os.close(config)
            self._conclude(Misconfigured("the gateway's host refuses the FUSE mount", error.strerror))
            return
        reader, writer = os.pipe2(os.O_CLOEXEC)
        argv = gocryptfs.mount_argv(self._vault.cipher, config, request.secret, fuse)
        passed = [config, request.secret, fuse, self._lock]
        if self._quota:
            limit, ledger = str(self._quota.disk * usage.MEBI), self._quota.ledger
            argv = python("gateway/limits/disk/supervisor.py", VAULTS, limit, str(ledger), *argv)
            passed.append(ledger)
        try:
            # It has the vault's lock as well: nobody else can have the vault while it lives, whatever becomes of us.
            self._pid = process.spawn(argv, {1: writer, 2: writer}, passed, own_group=True)
        except EncError as error:
            os.close(reader)
            self._conclude(error)
            return
        finally:
            for fd in (writer, fuse, config):
                os.close(fd)
        self._loop.on_exit(self._pid, self._ended)
        self._loop.watch(reader, READ, lambda _: self._read(reader))

    def _read(self, fd: int) -> None:
        """gocryptfs's own words: looked at until it serves, thrown away after, for they can name files."""
        chunk = os.read(fd, 4096)
        if not chunk:
            self._loop.unwatch(fd)
            os.close(fd)
        elif not self.since:
            self._output = (self._output + chunk)[-4096:]
            if gocryptfs.READY in self._output:
                self._output = b""
                # A FUSE root belongs to uid 0 until its attributes are asked for, and the kernel lets nobody write to
                # an inode whose owner this user namespace does not map: the first file put would be refused.
                looking = _in_child(lambda: ciphertext.is_decrypted(self._vault.cipher, mounts.path(self.project)))
                self._loop.on_exit(looking, self._serves)

    def _serves(self, fits: int) -> None:
        """gocryptfs serves; `fits` says whether its key is this vault's."""
        if not self._pid or self.since or self._abandoned:
            return
        if fits == _YES:
            self.since = utc_now()
            self._conclude(None)
            return
        self._refused = _another_key(self.project) if fits == _NO else _not_listed(self.project)
        mounts.detach(self.project, force=True)
        processes.kill(self._pid, signal.SIGKILL)

    def _ended(self, status: int) -> None:
        self._pid = 0
        if self.since:
            self._died()
        else:
            self._conclude(self._refused or gocryptfs.failure(status))

    def _conclude(self, error: EncError | None) -> None:
        if self._attempt is not None:
            right = False if isinstance(error, WrongSecret) else True if error is None else None
            backoff.end_attempt(self._attempt, self.project, right)
            self._attempt = None
        if error:
            self._dispose()
        self._unlocked(error)

    def lock(self, programs: Programs) -> bool:
        """End the view: flush, stop the programs that hold it, unmount, see gocryptfs exit, free the vault.

        Returns whether force was needed (an unmount by force and a killed gocryptfs, which can lose what was being
        written at that moment). `remains` says whether that was enough.
        """
        self._died = _nothing
        self._flush()  # if it does not come back, even a look at who holds the view might not: all programs have to go
        device = self.device
        forced = not (
            mounts.detach(self.project)
            or (not self._stuck and self._detach_after(programs, programs.holding(device)))
            or self._detach_after(programs, programs.all())
        )
        if forced:
            mounts.detach(self.project, force=True)
        if not self._loop.wait_for(lambda: not self._pid, 0 if forced else _EXIT):
            processes.kill(self._pid, signal.SIGKILL)
            forced = True
            self._loop.wait_for(lambda: not self._pid, _EXIT)
        self._dispose()
        if forced:  # what was stuck in the view is free to go
            self._loop.wait_for(lambda: not programs.left(), _EXIT)
        return forced

    def _detach_after(self, programs: Programs, chosen: set[int]) -> bool:
        programs.stop(chosen)
        return self._loop.wait_for(lambda: mounts.detach(self.project), 1.0)

    def when_gone(self, gone: Callable[[], None]) -> None:
        """After a `lock` that left gocryptfs stuck: call `gone` when it has ended and the vault is free."""

        def ended() -> None:
            self._dispose()
            gone()

        self._died = ended

    def remains(self, programs: Programs) -> str:
        """What should have gone with `lock` and has not, for it is stuck in the kernel; "" for nothing."""
        if self._pid:
            return "gocryptfs"
        if self.device:
            return "mount"
        return "programs" if programs.left() else ""

    def _flush(self) -> None:
        """syncfs(2): what was written through a mapping reaches gocryptfs. In a child, for it can block for ever."""
        try:
            pid = os.fork()
        except OSError:  # no process left: the unmount flushes as well, only without a limit of time
            return
        if pid == 0:
            try:
                syscalls.syncfs(os.open(mounts.path(self.project), os.O_RDONLY | os.O_DIRECTORY))
                os.ftruncate(self._lock, 0)
            finally:
                os._exit(0)
        done: list[int] = []
        self._loop.on_exit(pid, done.append)
        self._stuck = not self._loop.wait_for(lambda: bool(done), _FLUSH)
        if self._stuck:
            processes.kill(pid, signal.SIGKILL)

    def abandon(self) -> None:
        """End an unlock that has not succeeded yet."""
        self._abandoned = True  # also by a look at the root that is under way: a view that came to live now would be
        self._unlocked = _ignore  # recorded as locked, and never was as unlocked
        mounts.detach(self.project, force=True)  # first: gocryptfs can wait for the kernel in a way no signal ends
        if self._pid:
            processes.kill(self._pid, signal.SIGKILL)
            self._loop.wait_for(lambda: not self._pid, _EXIT)

    def _dispose(self) -> None:
        """Free the mount point and, unless gocryptfs still has it, the vault."""
        mounts.detach(self.project, force=True)
        mounts.remove_directory(self.project)
        if self._holds_vault and not self._pid:
            lease.release(self._lock, stuck=self._stuck)
            self._holds_vault = False
        if self._place is not None:
            os.close(self._place)
            self._place = None


def _in_child(holds: Callable[[], bool]) -> int:
    """Ask something of a file system that may never answer, in a child; its pid. Its exit status is the answer."""
    pid = os.fork()
    if pid == 0:
        status = _FAILED
        try:
            status = _YES if holds() else _NO
        finally:
            os._exit(status)
    return pid


def _another_key(project: str) -> EncError:
    hint = "nothing was written; a sysadmin can restore slots/ from a backup"
    return DamagedVault(f"{project} is damaged: its unlock slot has the key of another project", hint)


def _not_listed(project: str) -> EncError:
    return Misconfigured(f"the gateway's disk does not let {project} be listed", "tell your sysadmin")


def _nothing() -> None:
    return


def _ignore(_error: EncError | None) -> None:
    return
