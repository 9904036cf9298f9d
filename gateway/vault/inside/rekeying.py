"""Copy a vault into a new one with another master key, from view to view, and compare both. Run as a file in a sandbox:

    rekeying.py OLD NEW OLD_CONFIG OLD_SECRET NEW_CONFIG NEW_SECRET...

OLD and NEW are directories of ciphertext, the others descriptors; each NEW_SECRET is used up by one mount. It begins
with what an earlier run has left in NEW. It prints JSON, one object a line: at most once a second what it is at, and
at last what became of it. That can have names of files: it is for whoever may read them.
"""

from __future__ import annotations

import os
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 4)[0])

from gateway.base import json
from gateway.base.tree import walk
from gateway.base.tree.compare import Comparison
from gateway.base.tree.descent import CHANGE, Descent
from gateway.base.tree.mirror import Mirror
from gateway.vault import ciphertext
from gateway.vault.inside import private_view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.tree.compare import Place

ATTEMPTS = 3
"""Copies that differ are made again. The first of a resumed copy believes sizes and times."""
SECRETS = 2 * ATTEMPTS
"""How many times the new vault may be mounted."""
_OLD, _NEW = "/tmp/old", "/tmp/new"  # noqa: S108 - in a sandbox of our own
_TOLD_EVERY = 1.0
_LONGEST_PATH = 3000
_SHOWN = 3


class _Progress:
    """Of one phase. `files` and `size` (bytes) are what is done of it."""

    def __init__(self, phase: str, total: int) -> None:
        self._phase, self._total = phase, total
        self.files = self.size = 0
        self._next = 0.0

    def told(self, size: int) -> None:
        self.files += 1
        self.size += size
        if (now := time.monotonic()) >= self._next:
            self._next = now + _TOLD_EVERY
            _print(phase=self._phase, files=self.files, of=self._total, bytes=self.size)


def _print(**fields: object) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def _copy(old: str, new: str, total: int, again: list[Place]) -> None:
    """Make the view `new` as the view `old` is, with new copies of what is at `again`."""
    for place in again:
        _forget(new, place)
    progress = _Progress("copying", total)
    source, target = Descent(old), Descent(new, CHANGE)
    try:
        while (links := f".links-{os.urandom(8).hex()}") in os.listdir(old):
            continue
        Mirror(source, target, links, progress.told).run()
    finally:
        source.close()
        target.close()


def _forget(top: str, place: Place) -> None:
    """Remove what is there, or what it is in if the path is too long."""
    path = top
    for name in place:
        if len(os.fsencode(path)) > _LONGEST_PATH:
            break
        path = os.path.join(path, name)
    if path != top and (error := walk.remove(path)):
        raise error


def _compare(old: str, new: str, total: int) -> tuple[list[Place], _Progress]:
    progress = _Progress("comparing", total)
    source, target = Descent(old), Descent(new)
    try:
        return Comparison(source, target, progress.told).run(), progress
    finally:
        source.close()
        target.close()


def run(old_cipher: str, new_cipher: str, old_config: int, old_secret: int, new_config: int, secrets: list[int]) -> int:
    """The exit status. Raises OSError, NotMounted."""
    _print(phase="counting", files=0, of=0, bytes=0)
    total = walk.count(old_cipher, ciphertext.is_content)
    with private_view.mounted(old_cipher, old_config, old_secret, _OLD, read_only=True):
        differing: list[Place] = []
        for _ in range(ATTEMPTS):
            with private_view.mounted(new_cipher, new_config, secrets.pop(), _NEW):
                _copy(_OLD, _NEW, total, differing)
            with private_view.mounted(new_cipher, new_config, secrets.pop(), _NEW, read_only=True):
                differing, progress = _compare(_OLD, _NEW, total)
            if not differing:
                break
    if differing:
        _print(differing=len(differing), paths=["/".join(place) or "." for place in differing[:_SHOWN]])
        return 1
    if progress.files != total:
        _print(unnamed=total - progress.files)
        return 1
    _print(done=True, files=total, bytes=progress.size)
    return 0


def main(words: list[str]) -> int:
    """The exit status. When nobody reads what is printed any more, it ends by the error of that."""
    try:
        old, *rest = map(int, words[2:])
        return run(words[0], words[1], old, rest[0], rest[1], rest[2:])
    except private_view.NotMounted as error:
        _print(gocryptfs=error.status)
    except OSError as error:
        path = error.filename if isinstance(error.filename, str) else ""
        _print(error=error.strerror, errno=error.errno, path=path)
    return 1


if __name__ == "__main__":
    sys.exit(private_view.guard(lambda: main(sys.argv[1:]), _OLD, _NEW))
