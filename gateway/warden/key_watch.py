"""Are the keys that act in this session still in authorized_keys, and not expired? The file is looked at once a second.

That does not hang on events of the kernel, which can be lost: an inotify queue overflows. What a session cannot see is
the new file where a directory around it, or a link outside that leads to it, is replaced
(gateway.identity.key_location). It notices that by the old one's path, and then no key counts as authorized.
"""

from __future__ import annotations

import os

from gateway.identity.key_status import DOUBT_SECONDS, LOOK_SECONDS, KeyStatus
from gateway.sandbox import paths
from gateway.warden.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.session.spec import HeldPath, KeyFile, Spec
    from gateway.warden.holders.holders import Holders
    from gateway.warden.programs.programs import Programs
    from gateway.warden.records import Journal


class KeyWatch:
    """Calls `gone` with each of `acting()`, a principal and a key (its base64 blob), within 1.5 s of the edit that took
    its line away, and again at each look until `acting()` has it no more. `status` makes what looks for a principal's;
    `note` is told once why the file cannot be read.
    """

    def __init__(
        self,
        loop: Loop,
        status: Callable[[str], KeyStatus],
        acting: Callable[[], Iterable[tuple[str, str]]],
        gone: Callable[[str, str], None],
        note: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._status = status
        self._statuses: dict[str, KeyStatus] = {}
        self._acting = acting
        self._gone = gone
        self._note = note
        self._noted = ""
        self._look()

    def _look(self) -> None:
        acting = set(self._acting())
        self._statuses = {who: self._statuses.get(who) or self._status(who) for who, _ in acting}
        missing = {
            who: status.missing(blob for whose, blob in acting if whose == who)
            for who, status in self._statuses.items()
        }
        is_in_doubt = any(status.is_in_doubt for status in self._statuses.values())
        self._loop.at(DOUBT_SECONDS if is_in_doubt else LOOK_SECONDS, self._look)
        for who, blobs in missing.items():
            if blobs and self._statuses[who].trouble != self._noted:
                self._noted = self._statuses[who].trouble
                self._note(self._noted)
            for blob in blobs:
                self._gone(who, blob)


def begin(loop: Loop, spec: Spec, programs: Programs, journal: Journal, holders: Holders) -> None:
    """Watch the keys of an open session's holders and of its programs. What belongs to one that is gone ends."""

    def gone(who: str, blob: str) -> None:
        for program in programs.revoke(who, blob):
            journal.program_ended(program, "revoked")
        for holder in holders:
            if (holder.who.principal, holder.who.blob) == (who, blob):
                holders.leave(holder, "revoked")

    KeyWatch(
        loop,
        lambda principal: _status(spec.keys, principal),
        acting=lambda: holders.keys() | programs.keys(),
        gone=gone,
        note=lambda trouble: journal.record("keys-unreadable", error=trouble),
    )


def _status(file: KeyFile, principal: str) -> KeyStatus:
    """The keys of `principal` in the file, as this session's sandbox shows it."""

    def places() -> list[str]:
        """An editor replaces the file, so of its path only the directory counts, which a removed file has as well."""
        links = [_path_now(link) for link in file.links]
        return [*links, os.path.dirname(_path_now(file.in_directory))] if file.in_directory else links

    at_start = places()
    expected = [*(link.path for link in file.links), *([file.directory] if file.in_directory else ())]
    followed = all(now.endswith(path) for now, path in zip(at_start, expected, strict=True))  # in a chroot it is longer
    return KeyStatus(os.path.join(paths.KEYS, file.name), principal, lambda: followed and places() == at_start)


def _path_now(held: HeldPath) -> str:
    """Where it is on the host, whoever asks; with " (deleted)" if it has been removed (proc(5), /proc/pid/fd)."""
    return os.readlink(f"/proc/self/fd/{held.fd}")
