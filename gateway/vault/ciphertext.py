"""Check without a key whether a vault's ciphertext has the structure of a gocryptfs file system.

This finds a torn or incomplete copy. Only the owner can check the content, which needs the key (`fsck`). Source:
gocryptfs's documentation of its file format, version 2.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterator

from gateway.base.tree.descent import Descent
from gateway.base.tree.walk import walk
from gateway.vault.store import Vault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.tree.walk import Entries

DIRIV = "gocryptfs.diriv"
_DIRIV_SIZE = 16
_LONG_NAME, _NAME = "gocryptfs.longname.", ".name"
_HEADER, _BLOCK, _OVERHEAD = 18, 4096, 32
_MAX_PROBLEMS = 20
_LONGEST_PATH = 200
"""Characters of a path that are shown: it can have any number."""


def find_problems(vault: Vault) -> tuple[str, ...]:
    """Descriptions of at most 20 problems; they contain encrypted names only."""
    if os.path.islink(vault.cipher) or not os.path.isdir(vault.cipher):
        return ("cipher is not a directory",)
    return tuple(itertools.islice(itertools.chain(_check_parts(vault), _check_tree(vault.cipher)), _MAX_PROBLEMS))


def _check_parts(vault: Vault) -> Iterator[str]:
    """Check the types of the parts: a symbolic link would lead whoever opens the copy to another place."""
    if not _is_type(stat.S_ISDIR, vault.slots):
        yield "slots is not a directory"
    elif not all(_is_type(stat.S_ISREG, os.path.join(vault.slots, name)) for name in os.listdir(vault.slots)):
        yield "slots contains something other than files"
    if not _is_type(stat.S_ISREG, vault.metadata):
        yield "vault.toml is not a file"


def _is_type(test: Callable[[int], bool], path: str) -> bool:
    try:
        return test(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _check_tree(root: str) -> Iterator[str]:
    """What cannot be read is a problem of its own, and is not damage."""
    descent = Descent(root)
    unread: list[str] = []

    def note(name: str, error: OSError) -> None:
        unread.append(f"{_shown(descent, name)}: it cannot be read: {error.strerror}")

    try:
        for entries in walk(descent, note):
            if unread:
                yield from unread
                unread.clear()
            else:
                yield from _check_directory(descent, entries)
        yield from unread
    finally:
        descent.close()


def _shown(descent: Descent, name: str = "") -> str:
    return shortened(descent.path(name))


def shortened(path: str) -> str:
    """The end of a path, for a message."""
    return path if len(path) <= _LONGEST_PATH else f"...{path[-_LONGEST_PATH:]}"


def _check_directory(descent: Descent, entries: Entries) -> Iterator[str]:
    iv = entries.get(DIRIV)
    if not (iv and stat.S_ISREG(iv.st_mode) and iv.st_size == _DIRIV_SIZE):
        yield f"{_shown(descent)}: {DIRIV} is missing or damaged"
    for name, found in entries.items():
        if name == DIRIV:
            continue
        if name.startswith(_LONG_NAME):
            partner = name.removesuffix(_NAME) if name.endswith(_NAME) else name + _NAME
            if partner not in entries:
                yield f"{_shown(descent, name)}: {partner} is missing"
        if problem := _find_problem(name, found):
            yield f"{_shown(descent, name)}: {problem}"


def _find_problem(name: str, found: os.stat_result) -> str:
    """What is wrong with one entry; "" for nothing. FIFOs and sockets are as a user's programs make them in a view."""
    mode = found.st_mode
    if _is_name_file(name):
        return "" if stat.S_ISREG(mode) else "it is not a file"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "it is a device"
    return "" if not stat.S_ISREG(mode) or is_valid_size(found.st_size) else "it has a size that no gocryptfs file has"


def is_decrypted(cipher: str, view: str) -> bool:
    """Whether the key of `view`, gocryptfs's mount of `cipher`, is the key of what is in `cipher`: enough of the names
    at the top appear in the view.

    gocryptfs leaves out a name that its key does not decrypt. By another vault's key 1 name in 280 seems to be one, so
    a project with a single file or directory at the top is mistaken that often, and others next to never.
    """
    with os.scandir(cipher) as entries:
        encrypted = sum(1 for entry in entries if is_content(entry.name))
    enough = min((encrypted + 1) // 2, encrypted // 16 + 28)  # half of 64; of 50,000 fewer, for each costs 20 us
    with os.scandir(view) as entries:
        return sum(1 for _ in itertools.islice(entries, enough)) == enough


def is_content(name: str) -> bool:
    """Whether an entry of the ciphertext is one of the view, too: the others are gocryptfs's own."""
    return name != DIRIV and not _is_name_file(name)


def _is_name_file(name: str) -> bool:
    return name.startswith(_LONG_NAME) and name.endswith(_NAME)


def is_valid_size(size: int) -> bool:
    """Whether a gocryptfs file can have this size: empty, or a header and blocks of 1 to 4096 bytes, each 32 larger."""
    if size == 0:
        return True
    content = size - _HEADER
    last = content % (_BLOCK + _OVERHEAD)
    return content > 0 and (last == 0 or last > _OVERHEAD)
