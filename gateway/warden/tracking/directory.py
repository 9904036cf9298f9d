"""A directory of the tree, its place in it, and the visits that are made to it."""

from __future__ import annotations

LONGEST_PATH = 4095
"""Bytes that open(2) takes (PATH_MAX)."""


class Directory:
    """`parent` is None for the root, and for what has been removed or has moved out of sight. `watch` is 0 for none.

    `changed` says when it came to its place, on the tree's clock. `certain`: an event named it, and not a listing,
    which may be out of date. `replaced` is what was at its place when it moved there. `ended`: the kernel has freed it.
    `rank` orders visits, lowest first.
    """

    __slots__ = ("certain", "changed", "children", "dead", "ended", "name", "parent", "rank", "replaced", "watch")

    def __init__(self, name: bytes, rank: tuple[float, int], certain: bool) -> None:
        self.parent: Directory | None = None
        self.name = name
        self.rank = rank
        self.certain = certain
        self.children: dict[bytes, Directory] = {}
        self.changed = 0
        self.watch = 0
        self.replaced: Directory | None = None
        self.dead = False
        self.ended = False

    def path_from(self, root: Directory) -> bytes | None:
        """Longer than a path may be if there is no end to it. None: it does not begin at `root`."""
        names: list[bytes] = []
        at: Directory | None = self
        length = 0
        while at is not root and length <= LONGEST_PATH + 1:
            if at is None:
                return None
            names.append(at.name)
            length += len(at.name) + 1
            at = at.parent
        return b"/".join(reversed(names))

    def is_unmoved(self, root: Directory, since: int) -> bool:
        """Whether the path from `root` has led to this very directory ever since that time on the tree's clock."""
        at: Directory | None = self
        for _ in range(LONGEST_PATH):
            if at is root:
                return True
            if at is None or at.changed > since:
                return False
            at = at.parent
        return False


class Visit:
    """Open `path` (relative to the root), watch it, list it. What comes of it goes to the tree: `opened`, `found` for
    each directory in it, and at last `listed` or `failed`.
    """

    __slots__ = ("accepted", "asked", "directory", "path")

    def __init__(self, directory: Directory, path: bytes, asked: int) -> None:
        self.directory = directory
        self.path = path
        self.asked = asked
        self.accepted = False
