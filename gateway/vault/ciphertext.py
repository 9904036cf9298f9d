"""Does a vault's ciphertext have the shape of a gocryptfs file system? Answered without any key.

What this finds is a copy that is torn or incomplete; that the content is what somebody wrote, only its owner can check
(`fsck`). gocryptfs's format: docs of its file format, version 2.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterator

from gateway.vault.store import Vault

DIRIV = "gocryptfs.diriv"
_DIRIV_SIZE = 16
_LONG, _NAME = "gocryptfs.longname.", ".name"
_HEADER, _BLOCK, _OVERHEAD = 18, 4096, 32
_MOST = 20


def problems(vault: Vault) -> tuple[str, ...]:
    """What is wrong, at most 20 lines with names of ciphertext."""
    if os.path.islink(vault.cipher) or not os.path.isdir(vault.cipher):
        return ("cipher is no directory",)
    found = []
    for problem in itertools.chain(_parts(vault), _walk(vault.cipher, "")):
        found.append(problem)
        if len(found) == _MOST:
            break
    return tuple(found)


def _parts(vault: Vault) -> Iterator[str]:
    """A link in the place of one of these would lead whoever opens the copy elsewhere."""
    if not _is(stat.S_ISDIR, vault.slots):
        yield "slots is no directory"
    elif not all(_is(stat.S_ISREG, os.path.join(vault.slots, name)) for name in os.listdir(vault.slots)):
        yield "slots has something else than files"
    if not _is(stat.S_ISREG, vault.metadata):
        yield "vault.toml is no file"


def _is(kind: Callable[[int], bool], path: str) -> bool:
    try:
        return kind(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _walk(root: str, below: str) -> Iterator[str]:
    pending = [below]
    while pending:
        directory = pending.pop()
        with os.scandir(os.path.join(root, directory)) as entries:
            found = {entry.name: entry for entry in entries}
        shown = directory or "."
        iv = found.pop(DIRIV, None)
        if not (iv and iv.is_file(follow_symlinks=False) and iv.stat(follow_symlinks=False).st_size == _DIRIV_SIZE):
            yield f"{shown}: its {DIRIV} is missing or damaged"
        for name, entry in found.items():
            path = os.path.join(directory, name)
            if name.startswith(_LONG):
                partner = name.removesuffix(_NAME) if name.endswith(_NAME) else name + _NAME
                if partner not in found:
                    yield f"{path}: {partner} is missing"
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif entry.is_file(follow_symlinks=False) and not name.endswith(_NAME) and not _is_whole(entry):
                yield f"{path}: no file of gocryptfs has its size"


def _is_whole(entry: os.DirEntry[str]) -> bool:
    return is_whole(entry.stat(follow_symlinks=False).st_size)


def is_whole(size: int) -> bool:
    """Whether a file can have this size: a header, then blocks of at most 4096 bytes with 32 more each."""
    if size == 0:
        return True
    content = size - _HEADER
    last = content % (_BLOCK + _OVERHEAD)
    return content > 0 and (last == 0 or last > _OVERHEAD)
