"""What our forced command costs: `ls`, against the same sshd forced to /bin/true, and to a bare Python."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator

from bench import place
from bench.measure import Row, in_turns, median, ms, time_of
from tests.harness import Gateway, Person
from tests.life import connection

ROUNDS = 80
PYTHON = f"{sys._base_executable} -I -S -c 0"  # type: ignore[attr-defined]
BASE = "sshd forced to /bin/true"


@contextlib.contextmanager
def _ends() -> Iterator[dict[str, tuple[Person, int]]]:
    """The person and the port for each thing that is compared."""
    with contextlib.ExitStack() as stack:
        gateway: Gateway = stack.enter_context(place.gateway())
        nobody, somebody = gateway.person("nothing"), gateway.person("three")
        for project in ("one", "two", "three"):
            somebody.new(project)
        yield {
            "ls, no project": (nobody, int(str(gateway.ready["port"]))),
            "ls, 3 projects": (somebody, int(str(gateway.ready["port"]))),
            "bare python -I -S": (nobody, stack.enter_context(place.sshd_forced_to(PYTHON, gateway))),
            BASE: (nobody, stack.enter_context(place.sshd_forced_to("/bin/true", gateway))),
        }


def run() -> list[Row]:
    """Measure over a shared and over a new connection."""
    with _ends() as ends, contextlib.ExitStack() as stack:
        ours = ends["ls, 3 projects"][0].ssh("ls")
        assert ours.status == 0 and ours.out.count("\n") == 4, ours
        shared = {
            name: who.argv("ls", extra=stack.enter_context(connection(who, "-p", str(port))))
            for name, (who, port) in ends.items()
        }
        new = {name: who.argv("ls", extra=("-p", str(port))) for name, (who, port) in ends.items()}
        return _compared("shared connection", shared, "3x") + _compared("new connection", new, "1.2x")


def _compared(way: str, argvs: dict[str, list[str]], budget: str) -> list[Row]:
    taken = in_turns(ROUNDS, {name: functools.partial(time_of, argv) for name, argv in argvs.items()})
    base = median(taken.pop(BASE))
    return [
        Row(
            what=f"{name}, {way}",
            measured=ms(median(seconds)),
            reference=f"{ms(base)} ({BASE})",
            result=f"{median(seconds) / base:.2f}x",
            budget=budget if name.startswith("ls") else "-",
        )
        for name, seconds in taken.items()
    ]
