"""The model test of files: the same steps in a project and in a directory of the host, compared after each of them.

`Here` is a place where steps are carried out (tests/model_agent.py). `machine` makes the state machine of hypothesis.
What is known to differ is not asked for, and each of it is a field of `Knows` or a comment at the step.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

AGENT = Path(__file__).with_name("model_agent.py")


@dataclass(frozen=True)
class Knows:
    """What a place can do. `links`: hard links. `renameat2`, `xattrs`, `nanoseconds`, `link_times`: SFTP has none of
    them, and to sshfs the time 0 means now. `modes`: whether those are given that close a file or directory to its
    owner, which means nothing to root. `long_renames`: whether a directory may be renamed over an empty one with a name
    of more than 175 bytes. `errors`: whether an error is the same; SFTP has one number for most of them.
    """

    links: bool
    renameat2: bool = True
    xattrs: bool = True
    nanoseconds: bool = True
    link_times: bool = True
    modes: bool = True
    long_renames: bool = True
    errors: bool = True


@dataclass
class Here:
    """An agent, started as `argv` with `where` as its working directory (None: it has one)."""

    argv: list[str]
    where: Path | None = None
    steps: int = 0
    begun: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def started(self) -> Iterator[Here]:
        with subprocess.Popen(
            self.argv, cwd=self.where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as self._process:
            try:
                yield self
            finally:
                assert self._process.stdin
                self._process.stdin.close()
                self._process.wait(20)

    def do(self, *step: object) -> tuple[object, dict[str, list[Any]]]:
        """What the step came to, and the tree after it."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(step) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the agent ended at {step}"
        self.steps += 1
        if step[0] == "begin":
            self.begun.append(str(step[1]))
        outcome, tree = json.loads(line)
        return outcome, tree


NAMES = st.sampled_from(["a", "b", "sub", "sub/a", "\u00e9 \n*", "l" * 180, "m" * 255, "sub/" + "n" * 200])
SIZES = st.sampled_from([1, 17, 4095, 4096, 4097, 8192, 12_345, 131_073])
CONTENTS = st.one_of(
    st.text(alphabet="xyz\0\xff", max_size=20),
    st.builds(lambda char, size: char * size, st.sampled_from("ab"), SIZES),
)
OFFSETS = st.sampled_from([0, 1, 5, 4095, 4096, 4097, 9000, 70_000])
FILE_MODES, CLOSED_MODES = [0o600, 0o644, 0o755, 0o700], [0o000, 0o400, 0o444, 0o555]
"""Of a file; truncate(2) of one that its owner can write but not read (0200) fails with EACCES in a view. A directory
gets the execute bits that fit.
"""
HANDLES = st.sampled_from(["h1", "h2"])
_numbers = itertools.count(1)


def machine(ours: Here, theirs: Here, knows: Knows) -> type[RuleBasedStateMachine]:
    """The machine that does each step in the project (`ours`) and on the host (`theirs`)."""
    modes = FILE_MODES + (CLOSED_MODES if knows.modes else [])
    directory_modes = [0o700, 0o755] + ([0o500, 0o555] if knows.modes else [])

    class Files(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.tree: dict[str, list[Any]] = {}
            self.held: set[str] = set()
            self.done: list[tuple[object, ...]] = []

        def both(self, *step: object) -> object:
            """Do it in both places; what came of it. The comparison is the test."""
            self.done.append(step)
            expected, tree = theirs.do(*step)
            outcome, seen = ours.do(*step)
            if not knows.errors and all(str(one).startswith("E") for one in (outcome, expected)):
                outcome = expected
            assert outcome == expected, f"{self.done}: {outcome}, on the host {expected}"
            assert seen == tree, f"{self.done}: {_difference(seen, tree)}"
            self.tree = tree
            return outcome

        @initialize()
        def begin(self) -> None:
            self.held = set()
            self.both("begin", f"work{next(_numbers)}")
            self.both("mkdir", "sub", 0o755)
            self.both("create", "sub/a", 0o644, "first")
            self.both("create", "a", 0o644, "second")

        @rule(path=NAMES, mode=st.sampled_from(modes), content=CONTENTS)
        def create(self, path: str, mode: int, content: str) -> None:
            self.both("create", path, mode, content)

        @rule(path=NAMES, content=CONTENTS)
        def append(self, path: str, content: str) -> None:
            self.both("append", path, content)

        @rule(path=NAMES, content=CONTENTS, offset=OFFSETS)
        def pwrite(self, path: str, content: str, offset: int) -> None:
            self.both("pwrite", path, content, offset)

        @rule(path=NAMES, size=OFFSETS)
        def truncate(self, path: str, size: int) -> None:
            self.both("truncate", path, size)

        @rule(path=NAMES, other=NAMES, length=OFFSETS)
        def copy_range(self, path: str, other: str, length: int) -> None:
            if path != other:
                self.both("copy_range", path, other, length)

        # A mode without the owner's rwx is given by chmod: gocryptfs shows mkdir's with them for a second
        @rule(path=NAMES, mode=st.sampled_from([0o700, 0o755, 0o750]))
        def mkdir(self, path: str, mode: int) -> None:
            self.both("mkdir", path, mode)

        @rule(path=NAMES)
        def rmdir(self, path: str) -> None:
            self.both("rmdir", path)

        @rule(path=NAMES)
        def unlink(self, path: str) -> None:
            self.both("unlink", path)

        @rule(path=NAMES, other=NAMES)
        def link(self, path: str, other: str) -> None:
            if knows.links:
                self.both("link", path, other)
            else:
                outcome, seen = ours.do("link", path, other)
                assert outcome, "a link that was to be refused was made"
                assert seen == self.tree, f"link {path} {other}: {_difference(seen, self.tree)}"

        @rule(
            path=NAMES.filter(lambda path: "/" not in path),
            to=st.sampled_from(["a", "sub/a", "sub", "missing", "x" * 300]),
        )
        def symlink(self, path: str, to: str) -> None:
            self.both("symlink", to, path)

        @rule(path=NAMES, other=NAMES)
        def rename(self, path: str, other: str) -> None:
            if knows.long_renames or not self._loses_its_name(path, other):
                self.both("rename", path, other)

        @precondition(lambda _: knows.renameat2)
        @rule(path=NAMES, other=NAMES, how=st.sampled_from(["exchange", "no_replace"]))
        def renameat2(self, path: str, other: str, how: str) -> None:
            self.both(how, path, other)

        @rule(path=NAMES, mode=st.sampled_from(modes))
        def chmod(self, path: str, mode: int) -> None:
            self.both(
                "chmod", path, mode if self._is(path, stat.S_IFREG) else directory_modes[mode % len(directory_modes)]
            )

        @rule(
            path=NAMES, seconds=st.sampled_from([0, 1, 1_000_000_000, 2_000_000_000]), nanoseconds=st.integers(0, 999)
        )
        def touch(self, path: str, seconds: int, nanoseconds: int) -> None:
            if knows.link_times or not self._is(path, stat.S_IFLNK):
                time = seconds * 10**9 + nanoseconds if knows.nanoseconds else max(seconds, 1) * 10**9
                self.both("touch", path, time)

        @precondition(lambda _: knows.xattrs)
        @rule(path=NAMES, name=st.sampled_from(["one", "two"]), value=st.text(alphabet="xy\0\xff", max_size=300))
        def setxattr(self, path: str, name: str, value: str) -> None:
            self.both("setxattr", path, name, value)

        @precondition(lambda _: knows.xattrs)
        @rule(path=NAMES, name=st.sampled_from(["one", "two"]))
        def removexattr(self, path: str, name: str) -> None:
            self.both("removexattr", path, name)

        @rule(handle=HANDLES, path=NAMES)
        def hold(self, handle: str, path: str) -> None:
            """Leave a file open; what is open already is opened anew."""
            if handle in self.held:
                self.both("release", handle)
                self.held.remove(handle)
            if self.both("hold", handle, path) is None:
                self.held.add(handle)

        @precondition(lambda self: self.held)
        @rule(handle=HANDLES, content=CONTENTS, offset=OFFSETS)
        def held_write(self, handle: str, content: str, offset: int) -> None:
            if handle in self.held:
                self.both("held_write", handle, content, offset)

        @precondition(lambda self: self.held)
        @rule(handle=HANDLES, size=OFFSETS)
        def held_truncate(self, handle: str, size: int) -> None:
            if handle in self.held:
                self.both("held_truncate", handle, size)

        @precondition(lambda self: self.held)
        @rule(handle=HANDLES)
        def held_read(self, handle: str) -> None:
            if handle in self.held:
                self.both("held_read", handle)

        def _loses_its_name(self, path: str, other: str) -> bool:
            directories = self._is(path, stat.S_IFDIR) and self._is(other, stat.S_IFDIR)
            return directories and len(other.rpartition("/")[2].encode()) > 175

        def _is(self, path: str, kind: int) -> bool:
            attributes = self.tree.get("./" + path.encode().decode("latin-1"))
            return attributes is not None and stat.S_IFMT(attributes[0]) == kind

    return Files


def _difference(seen: dict[str, list[Any]], expected: dict[str, list[Any]]) -> str:
    paths = sorted({*seen, *expected})
    told = [
        f"{path!r}: {seen.get(path)}, on the host {expected.get(path)}"
        for path in paths
        if seen.get(path) != expected.get(path)
    ]
    return "; ".join(told)
