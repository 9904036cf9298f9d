"""One view: from a passphrase in a pipe to a mounted file system, and back to ciphertext alone.

Nothing here opens, lists or stats the view or the vault: both may never answer. Children do, and are waited for with a
limit.
"""

from __future__ import annotations

import os
import signal

from gateway.base import process
from gateway.base.clock import boottime, utc_now
from gateway.errors import EncError, Internal, Misconfigured, WrongSecret
from gateway.limits import backoff
from gateway.sandbox.paths import VAULTS
from gateway.vault import lease
from gateway.vault.lease import LeaseHolder
from gateway.vault.slots import stored
from gateway.vault.store import Vault
from gateway.warden import mounts
from gateway.warden.loop import Loop
from gateway.warden.programs import processes
from gateway.warden.views.gocryptfs_process import GocryptfsProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.names import ProjectName, SlotName
    from gateway.session.protocol import Unlock
    from gateway.session.spec import Quota
    from gateway.warden.loop import Steps
    from gateway.warden.programs.programs import Programs

_BUSY = 0.3
"""Seconds for an unmount after the programs that used the view have gone."""
_EXIT = 0.3
"""Seconds for gocryptfs to end by itself after an unmount by force, which fails all that it is asked."""
_KILLED = 0.7
"""Seconds for SIGKILL to work on what is not stuck in the kernel."""
_NOTE = 0.5
"""Seconds for noting in the vault when it was used last."""
_UNCOUNTED = 30.0
"""Seconds until the next attempt, when a wrong passphrase cannot be counted."""
_COUNTED = 5.0
"""Seconds for counting it on a disk that other hosts share."""


class View:
    """`since` (UTC, RFC 3339) is empty until the view is live; `is_locking` says that `lock` is under way. `slot` and
    `kind` are what it was unlocked with. `shares_disk` says that other hosts have the file of attempts as well, and so
    that it may not answer.
    """

    def __init__(self, loop: Loop, project: ProjectName, shares_disk: bool) -> None:
        self.project = project
        self.since = ""
        self.is_locking = False
        self.slot: SlotName | None = None
        self.kind = ""
        self._loop = loop
        self._shares_disk = shares_disk
        self._served_by = GocryptfsProcess(loop, project, self._conclude, self._ended)
        self._attempt: int | None = None
        self._was_abandoned = False

    @property
    def idle_limit(self) -> int:
        """Seconds, as the project asks for; 0 for the usual."""
        return self._served_by.idle_limit

    def opened_with(self) -> dict[str, object]:
        """The audit fields of its unlock."""
        return {"project": self.project, "slot": self.slot, "kind": self.kind}

    @property
    def pid(self) -> int:
        """gocryptfs's, 0 when it has ended."""
        return self._served_by.pid

    def unlock(
        self,
        request: Unlock,
        holder: LeaseHolder,
        quota: Quota | None,
        hard_links: bool,
        unlocked: Callable[[EncError | None], None],
        died: Callable[[], object],
    ) -> None:
        """Start gocryptfs on the passphrase. The request's descriptors are the caller's: we keep a copy of `attempt`
        until the answer, and gocryptfs one of `place` for as long as it lives.

        The answer comes later, through `unlocked(None)` or `unlocked(error)`; `died` is called when gocryptfs ends by
        itself under a live view. `quota` is of all vaults of the principal; without `hard_links`, nobody
        can make one in the view.
        """
        self._unlocked, self._died, self._called = unlocked, died, request.called
        self.slot, self.kind = request.slot, request.slot_kind
        try:
            self._attempt = os.dup(request.attempt)
            fuse = mounts.attach_fuse(self.project)
            try:
                self._served_by.start(request, fuse, holder, quota, hard_links)
            finally:
                os.close(fuse)
        except EncError as error:
            self._conclude(error)
        except OSError as error:
            self._conclude(Misconfigured("the gateway's host refuses the FUSE mount", error.strerror))

    def _conclude(self, error: EncError | None) -> None:
        right = False if isinstance(error, WrongSecret) else True if error is None else None
        self._loop.follow(self._end_attempt(right), lambda _: self._tell(error))

    def _tell(self, error: EncError | None) -> None:
        if self._was_abandoned:
            return
        if error is None and not self.pid:
            error = Internal("gocryptfs ended at once")
        if error:
            self._dispose()
        else:
            self.since = utc_now()
        self._unlocked(error)

    def _end_attempt(self, right: bool | None) -> Steps[None]:
        """What cannot be counted costs the time itself."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        try:
            if right is None or not self._shares_disk:
                backoff.end_attempt(attempt, self._called, right)
                return
            pid, reader = process.fork(lambda _: backoff.end_attempt(attempt, self._called, right), [attempt])
        except (OSError, EncError):  # no space in the run directory
            self._loop.at(_UNCOUNTED, lambda: os.close(attempt))
            return
        os.close(reader)
        ended: list[int] = []
        self._loop.on_exit(pid, ended.append)
        yield lambda: bool(ended), _COUNTED
        if ended == [0]:
            os.close(attempt)
        else:
            self._loop.at(_UNCOUNTED, lambda: os.close(attempt))

    def _ended(self) -> None:
        if self.since:
            self._died()
        else:
            self._dispose()

    def abandon(self) -> None:
        """End an unlock that has not succeeded yet. `unlocked` is not called. What may be stuck has ciphertext only."""
        mounts.detach(self.project, force=True)  # first: gocryptfs can wait for the kernel in a way no signal ends
        self._served_by.kill()
        self._was_abandoned = True
        self._loop.follow(self._end_attempt(None), lambda _: None)
        self._dispose()

    def lock(self, programs: Programs | None, until: float) -> Steps[bool]:
        """End the view: stop the `programs` that hold it (None: they were stopped), unmount, see gocryptfs exit.

        Who does not go by itself is ended by force, gocryptfs at `until` (CLOCK_BOOTTIME) at the latest. Returns
        whether force was needed (an unmount by force or a killed gocryptfs, which can lose what was being written at
        that moment). `remains` says whether that was enough.
        """
        self.is_locking = True
        self._died = _nothing
        forced = not (yield from self._detach(programs))
        if forced:
            mounts.detach(self.project, force=True)
        if not (yield self._served_by.has_ended, _EXIT if forced else max(_EXIT, until - boottime())):
            forced = True
            self._served_by.kill()
            yield self._served_by.has_ended, _KILLED
        self._dispose()
        if not self.pid:
            yield from self._note_use()
        return forced

    def _detach(self, programs: Programs | None) -> Steps[bool]:
        """Unmount without force; whether that was possible."""
        if mounts.detach(self.project):
            return True
        if programs is not None:
            yield from programs.stop((yield from programs.holding(self.project)))
            if (yield lambda: mounts.detach(self.project), _BUSY):
                return True
            yield from programs.stop(programs.all(), grace=0)
        return (yield lambda: mounts.detach(self.project), _BUSY)

    def _note_use(self) -> Steps[None]:
        """What `ls` shows as the last use is when the vault was locked."""
        vault = Vault(name=self.project, path=os.path.join(VAULTS, self.project))
        try:
            pid, reader = process.fork(lambda _: self._note_use_of(vault))
        except EncError:
            return
        os.close(reader)
        done: list[int] = []
        self._loop.on_exit(pid, done.append)
        if not (yield lambda: bool(done), _NOTE):
            processes.kill(pid, signal.SIGKILL)

    def _note_use_of(self, vault: Vault) -> None:
        """In a child."""
        if self.slot:
            stored.note_use(vault.slots, self.slot)
        lease.note_use(vault)

    def when_gone(self, gone: Callable[[], None]) -> None:
        """After a `lock` that left gocryptfs stuck: call `gone` when it has ended, and so the vault is free."""

        def ended() -> None:
            self._dispose()
            gone()

        self._died = ended

    def remains(self, programs: Programs) -> str:
        """What should have gone with `lock` and has not, for it is stuck in the kernel; "" for nothing."""
        if self.pid:
            return "gocryptfs"
        if not mounts.detach(self.project):
            return "mount"
        return "programs" if programs.left() else ""

    def _dispose(self) -> None:
        """Free the mount point."""
        mounts.detach(self.project, force=True)
        mounts.remove_directory(self.project)


def _nothing() -> None:
    return
