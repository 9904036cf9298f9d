"""The directories of a view as a tree: which are watched, and which are still to be visited. A pure data structure.

Who uses it watches a directory by visiting it: open its path, put a watch on what was opened, then list it. Meanwhile
programs go on making, moving and removing directories. Three rules keep the tree right:

- Events come in the order in which things happened. A visit's result is applied after all events from before it.
- A result counts only if nothing on the visited path has moved since the visit was asked for. Else it is asked again.
- Watching a directory twice gives the same watch. So a visit also tells a directory that has moved out of sight from a
  new one, and where events leave two possibilities, the place is visited again.

A move takes constant time: a directory has a link to its parent, and no path. What does not fit is `doubt`.
"""

from __future__ import annotations

from enum import Enum

from gateway.warden.tracking.agenda import Agenda
from gateway.warden.tracking.directory import LONGEST_PATH, Directory, Visit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_EARLY = 4096
_FIRST = float("-inf")


class Change(Enum):
    """What an event tells of a directory in a watched one, or, ENDED, of the watched one itself."""

    CREATED = 1
    DELETED = 2
    MOVED_FROM = 3
    MOVED_TO = 4
    ENDED = 5


class Tree:
    """At first the root alone, to be visited. At most `most` directories are watched or to be visited."""

    def __init__(self, most: int) -> None:
        self.doubt = ""
        """Why the tree may never be whole again: "watch-limit" or "uncertain"."""
        self._most = most
        self._clock = 0
        self._count = 0
        self._root = self._directory(b"", _FIRST, certain=True)
        self._watched: dict[int, Directory] = {}
        self._waiting = Agenda()
        self._waiting.add(self._root)
        self._adrift: dict[Directory, int] = {}
        self._moves: dict[int, Directory] = {}
        self._early: dict[int, list[tuple[Change, bytes, int]]] = {}
        self._early_count = 0

    @property
    def watches(self) -> int:
        return len(self._watched)

    @property
    def whole(self) -> bool:
        """Whether every directory there is is watched, as far as the events tell that were applied."""
        return not (self._waiting or self._adrift or self.doubt)

    @property
    def is_waiting(self) -> bool:
        """Whether there are directories to be visited, or visits without an end."""
        return bool(self._waiting)

    def paths(self) -> Iterator[tuple[bytes, int]]:
        """Every directory that has a place: its path and its watch."""
        pending = [(b"", self._root)]
        while pending:
            path, directory = pending.pop()
            yield path, directory.watch
            pending += [(_join(path, name), child) for name, child in directory.children.items()]

    # what events tell

    def apply(self, change: Change, watch: int, name: bytes = b"", cookie: int = 0) -> None:
        """An event of `watch` (inotify(7)): `name` is the directory's in the watched one; `cookie` joins two moves."""
        directory = self._watched.get(watch)
        if directory is None:
            self._keep(watch, (change, name, cookie))
            return
        self._clock += 1
        match change:
            case Change.CREATED:
                self._created(directory, name)
            case Change.DELETED:
                if gone := directory.children.pop(name, None):
                    self._bury(gone)
            case Change.MOVED_FROM:
                self._moved_from(directory, name, cookie)
            case Change.MOVED_TO:
                self._moved_to(directory, name, cookie)
            case Change.ENDED:
                self._ended(directory)

    def _keep(self, watch: int, event: tuple[Change, bytes, int]) -> None:
        """The watch may be of a visit whose result has not come yet."""
        if self._waiting.has_visits:
            self._early.setdefault(watch, []).append(event)
            self._early_count += 1
            if self._early_count > _MOST_EARLY:
                self._forget_early()
                self._doubt("uncertain")

    def _created(self, parent: Directory, name: bytes) -> None:
        there = parent.children.get(name)
        if there is None:
            self._add(parent, name, certain=True)
        elif there.watch:
            self._doubt("uncertain")
        else:  # from a listing; another one since, perhaps
            there.certain, there.changed = True, self._clock

    def _moved_from(self, parent: Directory, name: bytes, cookie: int) -> None:
        moved = parent.children.pop(name, None)
        if moved is None:
            return
        if moved.replaced and not moved.replaced.ended:
            # Of RENAME_EXCHANGE come the events of two moves, as of a move over an empty directory and one more move.
            # Which of the two directories is where only visits can tell.
            self._cast_off(moved, 0)
            self._add(parent, name, certain=False)
        else:
            self._cast_off(moved, cookie)

    def _moved_to(self, parent: Directory, name: bytes, cookie: int) -> None:
        replaced = parent.children.pop(name, None)
        if replaced:
            self._cast_off(replaced, 0)
        moved = self._moves.pop(cookie, None)
        if moved:
            del self._adrift[moved]
            self._place(moved, parent, name)
        else:
            moved = self._add(parent, name, certain=True)
        if moved:
            moved.replaced = replaced

    def _ended(self, directory: Directory) -> None:
        del self._watched[directory.watch]
        directory.watch = 0
        directory.ended = True
        if directory is self._root:
            self._doubt("uncertain")
        elif not directory.dead:  # the event of its removal, if there is one to come, comes after this one
            if directory.parent:
                del directory.parent.children[directory.name]
            self._bury(directory)

    # what visits tell

    def next(self) -> Visit | None:
        """The visit to make next: newest first. None: there is none, or none can be made before an event comes."""
        while directory := self._waiting.take():
            path = directory.path_from(self._root)
            if path is None:
                continue  # under a directory that is out of sight
            if len(path) > LONGEST_PATH:
                self._waiting.discard(directory)
                self._doubt("uncertain")
                continue
            self._waiting.begin(directory)
            return Visit(directory, path, self._clock)
        return None

    def opened(self, visit: Visit, watch: int) -> None:
        """The visit's path was opened and is watched as `watch`."""
        directory = visit.directory
        if directory.dead or not self._is_steady(visit):
            return
        known = self._watched.get(watch)
        if known is None:
            visit.accepted = True
            directory.watch = watch
            self._watched[watch] = directory
            for change, name, cookie in self._early.pop(watch, ()):
                self.apply(change, watch, name, cookie)
        else:
            self._identify(known, directory)

    def found(self, visit: Visit, name: bytes, modified: float) -> None:
        """The listing has a directory `name`, modified at that time."""
        directory = visit.directory
        if visit.accepted and not directory.dead and name not in directory.children:
            self._add(directory, name, certain=False, modified=modified)

    def listed(self, visit: Visit) -> None:
        """The visit has come to its end."""
        if visit.accepted:
            self._waiting.discard(visit.directory)
        self._end(visit, again=not visit.accepted)

    def failed(self, visit: Visit, missing: bool) -> None:
        """There is nothing at the path (`missing`), or it could not be opened, watched or listed."""
        directory = visit.directory
        moved = not visit.accepted and not self._is_steady(visit)
        if not moved and not directory.dead:
            self._waiting.discard(directory)
            if directory.parent and missing and not directory.certain and not visit.accepted:
                del directory.parent.children[directory.name]
                self._bury(directory)
            else:
                self._doubt("uncertain")
        self._end(visit, again=moved)

    def full(self, visit: Visit) -> None:
        """The visit failed because no more watches are to be had."""
        self._doubt("watch-limit")
        self._most = min(self._most, self.watches)
        self._waiting.clear()
        self._end(visit)

    # how it is done

    def _directory(self, name: bytes, modified: float, certain: bool) -> Directory:
        self._count -= 1  # of two that are equally new, the later one comes first
        return Directory(name, (modified, self._count), certain)

    def _add(self, parent: Directory, name: bytes, certain: bool, modified: float | None = None) -> Directory | None:
        """A directory that is to be visited, at a place that is free. None: there are too many."""
        if len(self._waiting) + self.watches >= self._most:
            self._doubt("watch-limit")
            return None
        directory = self._directory(name, _FIRST if modified is None else -modified, certain)
        self._place(directory, parent, name)
        self._waiting.add(directory)
        return directory

    def _place(self, directory: Directory, parent: Directory, name: bytes) -> None:
        directory.parent, directory.name, directory.changed = parent, name, self._clock
        directory.replaced = None
        parent.children[name] = directory
        if directory.watch:
            self._waiting.revive()

    def _cast_off(self, directory: Directory, cookie: int) -> None:
        """It has left its place. One that is watched is known by its watch wherever it comes to light again."""
        directory.parent = None
        if not directory.watch:
            self._bury(directory)
            return
        self._adrift[directory] = cookie
        if cookie:
            self._moves[cookie] = directory

    def _bury(self, directory: Directory) -> None:
        """It is no more, or nothing is known of it but a name that it had. A watched one ends with an event."""
        pending = [directory]
        while pending:
            dead = pending.pop()
            dead.parent, dead.dead = None, True
            self._waiting.discard(dead)
            self._moves.pop(self._adrift.pop(dead, 0), None)
            pending += dead.children.values()
            dead.children = {}
            if dead is not directory and dead.watch:  # what is removed is empty
                self._doubt("uncertain")

    def _identify(self, known: Directory, directory: Directory) -> None:
        """What is at the place of `directory` is `known`, which moved there unseen."""
        parent, name = directory.parent, directory.name
        if known not in self._adrift or parent is None:
            self._waiting.discard(directory)
            self._doubt("uncertain")
            return
        self._bury(directory)
        self._moves.pop(self._adrift.pop(known), None)
        self._place(known, parent, name)

    def _is_steady(self, visit: Visit) -> bool:
        """Whether what was visited is the visit's directory, and is where it was."""
        return visit.directory.is_unmoved(self._root, visit.asked)

    def _end(self, visit: Visit, again: bool = False) -> None:
        self._waiting.finish(visit, again)
        if not self._waiting.has_visits:
            self._forget_early()

    def _forget_early(self) -> None:
        self._early.clear()
        self._early_count = 0

    def _doubt(self, reason: str) -> None:
        self.doubt = self.doubt or reason


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
