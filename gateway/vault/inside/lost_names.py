"""Find ciphertext whose long name is lost, and give it a new one. Run as a file in the sandbox of `fsck`, it does both:

    lost_names.py CIPHER CONFIG_FD SECRET_FD

gocryptfs keeps a name of more than 175 bytes in a file beside what has the name. It loses that file when a directory is
renamed over an empty one (gateway.vault.defects): what is in the directory is sound, but it is in no listing. The old
name cannot be known, for only its hash is left. So a new name, recovered-1 and so on, is made in the view, and what was
lost is moved there on the disk. Prints one JSON list of the new paths, and ends with 1 if it could do nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 4)[0])

from gateway.base import json
from gateway.vault.inside import private_view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG, _NAME, _DIRIV = "gocryptfs.longname.", ".name", "gocryptfs.diriv"
_VIEW = "/tmp/view"  # noqa: S108 - in a sandbox of our own


def find(cipher: str) -> Iterator[tuple[str, str]]:
    """Directory and name of what has lost its name; directories that cannot be read are left out."""
    for directory, directories, files in os.walk(cipher):
        named = set(files)
        for name in (*directories, *files):
            if name.startswith(_LONG) and not name.endswith(_NAME) and name + _NAME not in named:
                yield directory, name


def mend(cipher: str, view: str) -> Iterator[str]:
    """Give each a new name; yields the new paths in the view. What the disk refuses stays as it is."""
    lost = list(find(cipher))
    wanted = {os.stat(directory).st_ino for directory, _ in lost}
    places = {os.lstat(path).st_ino: path for path, _, _ in os.walk(view) if os.lstat(path).st_ino in wanted}
    places[os.stat(cipher).st_ino] = view  # the root of a FUSE mount has a number of its own
    for directory, name in lost:
        with contextlib.suppress(OSError, KeyError):  # in one that is lost itself: the next check finds it
            yield os.path.relpath(_move(directory, name, places[os.stat(directory).st_ino]), view)


def _move(directory: str, name: str, shown: str) -> str:
    """`shown` is the view of `directory`. Returns the new path."""
    is_directory = stat.S_ISDIR(os.lstat(os.path.join(directory, name)).st_mode)
    taken = set(os.listdir(directory))
    for number in itertools.count(1):
        path = os.path.join(shown, f"recovered-{number}")
        try:
            if is_directory:
                os.mkdir(path, 0o700)
            else:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            continue
    (made,) = set(os.listdir(directory)) - taken
    target = os.path.join(directory, made)
    if is_directory:
        os.unlink(os.path.join(target, _DIRIV))
    os.rename(os.path.join(directory, name), target)
    return path


def main(cipher: str, config: int, secret: int) -> int:
    """The exit status."""
    try:
        with private_view.mounted(cipher, config, secret, _VIEW):
            os.write(1, json.dumps(list(mend(cipher, _VIEW))).encode())
    except private_view.NotMounted:
        return 1
    return 0


if __name__ == "__main__":
    _cipher, _config, _secret = sys.argv[1], *map(int, sys.argv[2:])
    sys.exit(private_view.guard(lambda: main(_cipher, _config, _secret), _VIEW))
