"""What the tests of `run`, `shell` and git share: somebody with an unlocked project, on one connection."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.harness import PATIENCE, Gateway, Held, Person, Result, Terminal
from tests.life import connection


@dataclass(frozen=True)
class Desk:
    """`person` with `project` unlocked; `held` is the `mount` that holds it, `shared` options for a connection."""

    gateway: Gateway
    person: Person
    project: str
    held: Held
    shared: tuple[str, ...]

    def words(self, *argv: str, flags: tuple[str, ...] = (), project: str = "") -> list[str]:
        """The line that runs `argv`, for ssh."""
        return ["run", project or self.project, *flags, "--", *map(shlex.quote, argv)]

    def run(
        self, *argv: str, flags: tuple[str, ...] = (), stdin: str | bytes = b"", timeout: float = PATIENCE
    ) -> Result:
        """`ssh gateway run PROJECT FLAGS -- ARGV`, without a terminal."""
        return self.person.ssh(*self.words(*argv, flags=flags), stdin=stdin, extra=self.shared, timeout=timeout)

    def sh(self, script: str, **more: str) -> Result:
        """A script of sh, run."""
        return self.run("sh", "-c", script, **more)  # type: ignore[arg-type]

    def python(self, script: str) -> Result:
        """A script of Python, run."""
        return self.run("python3", "-", stdin=script)

    def put(self, name: str, text: str) -> None:
        """A file of the project."""
        assert self.run("tee", name, stdin=text).status == 0

    def terminal(self, *argv: str, flags: tuple[str, ...] = ()) -> Terminal:
        """The same in a terminal."""
        return self.person.terminal(*self.words(*argv, flags=flags), extra=self.shared)

    def hold(self, *argv: str, flags: tuple[str, ...] = ()) -> Held:
        """The same, on a connection of its own that can be killed."""
        return self.person.hold(*self.words(*argv, flags=flags))


@contextlib.contextmanager
def desk(gateway: Gateway, name: str, project: str = "myproj") -> Iterator[Desk]:
    """Somebody new at work, until the end of the block."""
    with desk_of(gateway.person(name), project) as at:
        yield at


@contextlib.contextmanager
def desk_of(person: Person, project: str) -> Iterator[Desk]:
    """The same for somebody who is there, in a session and project more."""
    person.new(project)
    with person.mounted(project) as held, connection(person) as shared:
        yield Desk(person.gateway, person, project, held, shared)
