"""Are the keys that act in this session still in authorized_keys, and not expired? The file is looked at once a second.

That does not hang on events of the kernel, which can be lost: an inotify queue overflows. What a session cannot see is
the new file where a directory around it, or a link outside that leads to it, is replaced
(gateway.identity.key_location). It notices that by the old one's path, and then no key counts as authorized.
"""

from __future__ import annotations

import os

from gateway.identity.key_status import DOUBT_SECONDS, LOOK_SECONDS, KeyStatus
from gateway.sandbox import paths
from gateway.warden import mounts
from gateway.warden.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.session.spec import HeldPath, KeyFile


class KeyWatch:
    """Calls `gone` with each key (its base64 blob) of `acting()` within 1.5 s of the edit that took its line away, and
    again at each look until `acting()` has it no more. `note` is told once why the file cannot be read.
    """

    def __init__(
        self,
        loop: Loop,
        status: KeyStatus,
        acting: Callable[[], Iterable[str]],
        gone: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._status = status
        self._acting = acting
        self._gone = gone
        self._note = note
        self._noted = ""
        self._look()

    def _look(self) -> None:
        missing = self._status.missing(self._acting())
        self._loop.at(DOUBT_SECONDS if self._status.is_in_doubt else LOOK_SECONDS, self._look)
        if missing and self._status.trouble != self._noted:
            self._noted = self._status.trouble
            self._note(self._noted)
        for blob in missing:
            self._gone(blob)


def status(file: KeyFile, principal: str) -> KeyStatus:
    """The keys of `principal` in the file, as this session's sandbox shows it."""
    at_start = mounts.root(paths.KEYS)

    def is_there() -> bool:
        """Where the file itself has not been replaced, its path says it; the mount table takes twice as long as all
        else that we do in a second.
        """
        if not all(_is_in_place(link) for link in file.links):
            return False
        return _is_in_place(file.file) or mounts.root(paths.KEYS) == at_start

    return KeyStatus(os.path.join(paths.KEYS, file.name), principal, is_there)


def _is_in_place(held: HeldPath) -> bool:
    """The path of an open file is that on the host, followed by " (deleted)" where there is none any more (proc(5))."""
    return os.readlink(f"/proc/self/fd/{held.fd}") == held.path
