"""The tree of watched directories, against a real one: whatever programs do and however late we hear of it, the tree
says what is there, or that it is in doubt.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import os
import shutil
import sys
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.warden.tracking import inotify
from gateway.warden.tracking.directory import Visit
from gateway.warden.tracking.events import Queue, parse
from gateway.warden.tracking.tree import Change, Tree

NAMES = st.sampled_from([b"a", b"b", b"c"])
NUMBERS = st.integers(0, 20)
QUEUE = Queue(inotify.instance())
"""One for all runs: to close one takes longer than a run."""

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(one: bytes, other: bytes) -> None:
    """renameat2(2) with RENAME_EXCHANGE."""
    if _libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


class Following(RuleBasedStateMachine):
    """A directory, programs that change it, and a tree that follows: events, visits and their results come as late
    as hypothesis wants, but a result after the events from before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = os.fsencode(tempfile.mkdtemp(prefix="enc-tree-"))
        self.queue = QUEUE
        self.fd = QUEUE.fd
        while QUEUE.read():  # what the last run has left
            pass
        self.tree = Tree(most=1000)
        self.unread = b""
        self.asked: builtins.list[Visit] = []
        self.opened: builtins.list[tuple[Visit, int, int]] = []
        self.results: builtins.list[tuple[Visit, int, builtins.list[bytes] | None]] = []
        self.held: builtins.list[int] = []

    def there(self) -> builtins.list[bytes]:
        """Every directory, as a path from the root."""
        return sorted(path[len(self.root) + 1 :] for path, _, _ in os.walk(self.root))

    def some(self, number: int) -> bytes:
        """One of them, the root among them."""
        paths = self.there()
        return os.path.join(self.root, paths[number % len(paths)])

    def below(self, number: int) -> bytes:
        """One that is not the root. Raises OSError when there is none."""
        paths = self.there()[1:]
        if not paths:
            raise FileNotFoundError
        return os.path.join(self.root, paths[number % len(paths)])

    @rule(parent=NUMBERS, name=NAMES)
    def make(self, parent: int, name: bytes) -> None:
        with contextlib.suppress(OSError):
            os.mkdir(os.path.join(self.some(parent), name))

    @rule(number=NUMBERS)
    def remove(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(self.below(number))

    @rule(number=NUMBERS, parent=NUMBERS, name=NAMES)
    def move(self, number: int, parent: int, name: bytes) -> None:
        """Over an empty directory as well."""
        with contextlib.suppress(OSError):
            os.rename(self.below(number), os.path.join(self.some(parent), name))

    @rule(number=NUMBERS, other=NUMBERS)
    def exchange(self, number: int, other: int) -> None:
        with contextlib.suppress(OSError):
            exchange(self.below(number), self.below(other))

    @rule(number=NUMBERS)
    def hold(self, number: int) -> None:
        """A program has a directory open: the kernel does not free it when it is removed."""
        self.held.append(os.open(self.some(number), os.O_RDONLY | os.O_DIRECTORY))

    @precondition(lambda self: self.held)
    @rule()
    def let_go(self) -> None:
        os.close(self.held.pop())

    @rule(count=st.integers(1, 4))
    def hear(self, count: int) -> None:
        """Some events arrive, one after the other."""
        for _ in range(count):
            self.hear_one()

    def hear_one(self) -> bool:
        if not self.unread and (size := self.queue.waiting()):
            self.unread = os.read(self.fd, size)
        if not self.unread:
            return False
        length = 16 + int.from_bytes(self.unread[12:16], "little")
        event, self.unread = self.unread[:length], self.unread[length:]
        for entry in parse(event).changes:
            self.tree.apply(*entry)
        return True

    @rule()
    def ask(self) -> None:
        """A visit is asked for."""
        if visit := self.tree.next():
            self.asked.append(visit)

    @rule(count=st.integers(1, 8))
    def follow(self, count: int) -> None:
        """Visits are made in peace."""
        for _ in range(count):
            self.ask()
            if self.asked:
                self.open()
            if self.opened:
                self.list()
            if self.results:
                self.learn()

    @precondition(lambda self: self.asked)
    @rule()
    def open(self) -> None:
        """A visit opens and watches its directory; programs may do something before it lists it."""
        visit = self.asked.pop(0)
        try:
            fd = os.open(os.path.join(self.root, visit.path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            self.opened.append((visit, inotify.add(self.fd, fd), fd))
        except OSError:
            self.results.append((visit, 0, None))

    @precondition(lambda self: self.opened)
    @rule()
    def list(self) -> None:
        visit, watch, fd = self.opened.pop(0)
        names = sorted(map(os.fsencode, os.listdir(fd)))
        os.close(fd)
        self.results.append((visit, watch, names))

    @precondition(lambda self: self.results)
    @rule()
    def learn(self) -> None:
        """A visit's result arrives, after the events from before it."""
        while self.hear_one():
            pass
        self.learn_one()

    def learn_one(self) -> None:
        visit, watch, names = self.results.pop(0)
        if names is None:
            self.tree.failed(visit, missing=True)
            return
        self.tree.opened(visit, watch)
        for name in names:
            self.tree.found(visit, name, 0.0)
        self.tree.listed(visit)

    @invariant()
    def is_never_whole_while_a_directory_is_unwatched(self) -> None:
        """Once all events are heard."""
        if not self.unread and not self.queue.waiting() and self.tree.whole:
            self.compare()

    def compare(self) -> None:
        told = dict(self.tree.paths())
        assert sorted(told) == self.there()
        for path, watch in told.items():
            fd = os.open(os.path.join(self.root, path), os.O_RDONLY)
            assert inotify.add(self.fd, fd) == watch, path
            os.close(fd)

    def teardown(self) -> None:
        try:
            while self.held:
                self.let_go()
            for _ in range(200):
                self.follow(1)
                self.hear(4)
            assert not (self.asked or self.opened or self.results or self.unread or self.queue.waiting())
            assert self.tree.whole, "nothing was lost, and still it does not know"
            self.compare()
        finally:
            for _, _, fd in self.opened:
                os.close(fd)
            shutil.rmtree(self.root)


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


# what random programs seldom do


def visit(tree: Tree, watch: int, *names: bytes) -> bytes:
    """The next visit, made in peace; where it was made."""
    made = tree.next()
    assert made
    tree.opened(made, watch)
    for name in names:
        tree.found(made, name, 0.0)
    tree.listed(made)
    return made.path


def visit_of_what_moves() -> tuple[Tree, Visit]:
    """p/c is to be visited, and before the visit comes there, p is moved to q. All of that was heard."""
    tree = Tree(most=10)
    visit(tree, 1, b"p")
    assert visit(tree, 2, b"c") == b"p"
    asked = tree.next()
    assert asked and asked.path == b"p/c"
    tree.apply(Change.MOVED_FROM, 1, b"p", cookie=7)
    tree.apply(Change.MOVED_TO, 1, b"q", cookie=7)
    return tree, asked


def test_what_a_visit_opened_on_a_path_that_has_moved_is_not_taken_for_its_directory() -> None:
    tree, asked = visit_of_what_moves()
    tree.apply(Change.CREATED, 1, b"p")
    tree.opened(asked, 5)  # the c of the new p
    tree.listed(asked)
    watches = {b"q/c": 4, b"p": 3, b"p/c": 5}
    for _ in watches:
        made = tree.next()
        assert made
        tree.opened(made, watches[made.path])
        if made.path == b"p":
            tree.found(made, b"c", 0.0)
        tree.listed(made)
    assert dict(tree.paths()) == {b"": 1, b"q": 2, **watches}
    assert tree.whole and not tree.doubt


def test_a_directory_that_was_not_found_on_a_path_that_has_moved_is_looked_for_again() -> None:
    tree, asked = visit_of_what_moves()
    tree.failed(asked, missing=True)
    assert not tree.whole, "it is at q/c"
    assert visit(tree, 4) == b"q/c"
    assert tree.whole and dict(tree.paths()) == {b"": 1, b"q": 2, b"q/c": 4}


def test_a_visit_to_what_an_event_names_meanwhile_is_made_again() -> None:
    """Another directory of that name may be there by now."""
    tree = Tree(most=10)
    visit(tree, 1, b"a")
    asked = tree.next()
    assert asked
    tree.apply(Change.CREATED, 1, b"a")
    tree.opened(asked, 2)
    tree.listed(asked)
    assert not tree.whole
    assert visit(tree, 3) == b"a"
    assert tree.whole and dict(tree.paths()) == {b"": 1, b"a": 3}


def test_no_two_visits_to_a_directory_are_under_way() -> None:
    tree = Tree(most=10)
    visit(tree, 1, b"p")
    visit(tree, 2)
    tree.apply(Change.CREATED, 1, b"new")
    assert tree.next()
    tree.apply(Change.MOVED_FROM, 1, b"p", cookie=7)
    tree.apply(Change.MOVED_TO, 1, b"q", cookie=7)
    assert tree.next() is None


def test_a_move_takes_no_longer_for_thousands_of_watched_directories() -> None:
    """Counted in calls of Python functions, which a busy machine does not change."""

    def calls(count: int) -> int:
        tree = Tree(most=20_000)
        visit(tree, 1, *(b"%d" % number for number in range(count)))
        for watch in range(2, count + 2):
            visit(tree, watch)
        counted = 0

        def count_one(_frame: object, _event: str, _argument: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count_one)
        try:
            for turn in range(10):
                tree.apply(Change.MOVED_FROM, 1, b"0" if turn % 2 == 0 else b"other", turn + 1)
                tree.apply(Change.MOVED_TO, 1, b"other" if turn % 2 == 0 else b"0", turn + 1)
            assert tree.next() is None and tree.whole
        finally:
            sys.setprofile(None)
        return counted

    assert calls(5000) <= 2 * calls(5)
