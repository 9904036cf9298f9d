"""Which programs of `run` and `shell` keep their project unlocked: those that do something, not those that only exist."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.clients import Terminal
from tests.harness import Gateway, Held, Person
from tests.life import connection, printed_events, sessions_in_status

LIMIT = 12.0
LATE = 10.0
"""How much later a lock may come: a tenth of the limit until it is seen, 2 s for a program that ignores SIGTERM, and a
slow machine.
"""
EVERY = 3.0


@dataclass
class Case:
    """A program in the project of a person of its own; `act` is what the person does every few seconds."""

    label: str
    kept: bool
    words: tuple[str, ...]
    terminal: bool = False
    types: str = ""
    began: float = 0.0
    locked: float = 0.0
    process: Held | Terminal | None = field(default=None, repr=False)

    def start(self, who: Person) -> None:
        argv = (self.words[0], "work", *self.words[1:])
        self.process = who.terminal(*argv) if self.terminal else Held(who.argv(*argv), "", keep_stdin=bool(self.types))
        self.began = time.monotonic()

    def act(self) -> None:
        if isinstance(self.process, Terminal):
            self.process.send(self.types)
        elif self.process and self.types:
            self.process.type(self.types)

    def end(self) -> None:
        if isinstance(self.process, Terminal):
            self.process.close()
        elif self.process:
            self.process.end()


def sh(script: str) -> tuple[str, ...]:
    return "run", "--", "sh", "-c", f"'{script}'"


COMPUTE = "import time\nwhile True:\n    end = time.process_time() + 0.05\n    while time.process_time() < end: pass\n    time.sleep(0.9)"
CASES = [
    Case("a shell at its prompt", False, ("shell",), terminal=True),
    Case("one that sleeps", False, ("run", "--", "sleep", "600")),
    Case("one that has stopped itself", False, sh("kill -STOP $$")),
    Case("a loop that does next to nothing", False, sh("while sleep 1; do :; done")),
    Case("a server that waits", False, ("run", "--", "python3", "-m", "http.server")),
    Case("900 that sleep", False, sh("for i in $(seq 900); do sleep 600 & done; wait")),
    Case("one that computes", True, ("run", "--", "python3", "-c", f"'{COMPUTE}'")),
    Case("one that prints a line now and then", True, sh(f"while sleep {EVERY}; do echo; done")),
    Case("one that is typed at", True, ("run", "--", "sleep", "600"), terminal=True, types="x"),
    Case("one that is sent a line now and then", True, sh("while read line; do :; done"), types="x\n"),
    Case("one that reads a file now and then", True, sh(f"while sleep {EVERY}; do cat file; done >/dev/null")),
]


def unlock(who: Person, stack: contextlib.ExitStack) -> Held:
    who.new("work")
    held = stack.enter_context(who.mounted("work", flags=("--json",)))
    assert who.ssh("run", "work", "--", "sh", "-c", "'echo content >file'").status == 0
    return held


def test_a_project_is_kept_by_programs_that_do_something_alone(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.view": f"{LIMIT:.0f}", "idle.warning": "4"})
    people = [gateway.person(f"p{number}") for number in range(len(CASES))]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        held = list(pool.map(lambda who: unlock(who, stack), people))
        for case, who in zip(CASES, people, strict=True):
            case.start(who)
            stack.callback(case.end)
        watch(gateway, people, 2.5 * LIMIT)
        assert {case.label: bool(case.locked) for case in CASES} == {case.label: not case.kept for case in CASES}
        for case, mount in zip(CASES, held, strict=True):
            if not case.kept:
                assert LIMIT <= case.locked - case.began < LIMIT + LATE, case
                mount.wait()
                events = [event for event in printed_events(mount) if event["event"] in ("warning", "relieved", "locked")]
                assert [event["event"] for event in events] == ["warning", "locked"], case
                assert events[1]["reason"] == "idle-view", case


def watch(gateway: Gateway, people: list[Person], seconds: float) -> None:
    """Act, and note when projects are locked."""
    until, acts = time.monotonic() + seconds, 0.0
    by_key = {who.fingerprint: case for who, case in zip(people, CASES, strict=True)}
    while (now := time.monotonic()) < until:
        if now >= acts:
            acts = now + EVERY
            for case in CASES:
                if not case.locked:
                    case.act()
        for record in gateway.events("locked"):
            case = by_key[str(record["fingerprint"])]
            case.locked = case.locked or time.monotonic()
        time.sleep(0.2)
