"""For tests of `run`, `shell` and git: somebody with an unlocked project, on one connection."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.harness import PATIENCE, Gateway, Held, Person, Result, Terminal
from tests.life import connection


@dataclass(frozen=True)
class UnlockedProject:
    """`person` has `project` unlocked by the running `mount` in `held`; `shared` are the options of a connection."""

    gateway: Gateway
    person: Person
    project: str
    held: Held
    shared: tuple[str, ...]

    def words(self, *argv: str, flags: tuple[str, ...] = (), project: str = "") -> list[str]:
        """The words for ssh that run `argv`."""
        return ["run", project or self.project, *flags, "--", *map(shlex.quote, argv)]

    def run(
        self, *argv: str, flags: tuple[str, ...] = (), stdin: str | bytes = b"", timeout: float = PATIENCE
    ) -> Result:
        """`ssh gateway run PROJECT FLAGS -- ARGV`, without a terminal."""
        return self.person.ssh(*self.words(*argv, flags=flags), stdin=stdin, extra=self.shared, timeout=timeout)

    def sh(self, script: str, **more: str) -> Result:
        """Run a script of sh."""
        return self.run("sh", "-c", script, **more)  # type: ignore[arg-type]

    def python(self, script: str) -> Result:
        """Run a script of Python."""
        return self.run("python3", "-", stdin=script)

    def put(self, name: str, text: str) -> None:
        """Write a file of the project."""
        assert self.run("tee", name, stdin=text).status == 0

    def terminal(self, *argv: str, flags: tuple[str, ...] = ()) -> Terminal:
        """As `run`, in a terminal."""
        return self.person.terminal(*self.words(*argv, flags=flags), extra=self.shared)

    def hold(self, *argv: str, flags: tuple[str, ...] = ()) -> Held:
        """Start it on a connection of its own, which can be killed."""
        return self.person.hold(*self.words(*argv, flags=flags))

    @contextlib.contextmanager
    def connected(self) -> Iterator[Held]:
        """A program with network that stays, for the length of the block."""
        held = self.hold("sh", "-c", "echo up; sleep 600", flags=("--net",))
        held.read_until("up")
        yield held
        held.end()


@contextlib.contextmanager
def unlocked_project(gateway: Gateway, name: str, project: str = "myproj") -> Iterator[UnlockedProject]:
    """A new person with an unlocked project, for the length of the block."""
    with unlocked_project_of(gateway.person(name), project) as at:
        yield at


@contextlib.contextmanager
def unlocked_project_of(person: Person, project: str) -> Iterator[UnlockedProject]:
    """The same for `person`: one more project, in one more session."""
    person.new(project)
    with person.mounted(project) as held, connection(person) as shared:
        yield UnlockedProject(person.gateway, person, project, held, shared)
