"""Which programs of `run` and `shell` keep a project unlocked: those that do something, not those that only exist."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.harness import Gateway, Held, Person, Terminal
from tests.life import printed_events
from tests.workspaces import workspace

LIMIT = 12.0
LATE = 10.0
"""How much later a lock may come: a tenth of the limit until it is seen, 2 s for a program that ignores SIGTERM, and a
slow machine.
"""
EVERY = 3.0


@dataclass
class Case:
    """A program in the project of a person of its own. `types` is what the person types or sends, every few seconds.
    Without `words` it is an rsync that only compares, on a line that carries `rate` bytes a second.
    """

    label: str
    kept: bool
    words: tuple[str, ...]
    terminal: bool = False
    types: str = ""
    rate: int = 0
    began: float = 0.0
    locked: float = 0.0
    running: Terminal | subprocess.Popen[bytes] | None = None

    def start(self, who: Person) -> None:
        if not self.words:
            self.running = compare(who, self.rate)
            self.began = time.monotonic()
            return
        if self.words[0] == "workspace":
            place = who.key.parent / f"{who.name}-workspace"
            options = [*workspace(who, "work", place).options, "-o", "ServerAliveInterval=1"]
            inside = ["ssh", *options, *(["-tt"] if self.terminal else []), "enc@workspace", *self.words[1:]]
            self.running = Terminal(inside) if self.terminal else subprocess.Popen(inside, stdin=subprocess.PIPE)
            self.began = time.monotonic()
            return
        argv = self.words if self.words[0] == "rsync" else (self.words[0], "work", *self.words[1:])
        if self.terminal:
            self.running = who.terminal(*argv)
        else:
            self.running = subprocess.Popen(who.argv(*argv), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.began = time.monotonic()

    def act(self) -> None:
        if isinstance(self.running, Terminal):
            self.running.send(self.types)
        elif self.running and self.running.stdin:
            os.write(self.running.stdin.fileno(), self.types.encode())

    def end(self) -> None:
        if isinstance(self.running, Terminal):
            self.running.close()
        elif self.running and self.running.stdin:
            self.running.kill()
            self.running.wait()
            self.running.stdin.close()


def sh(script: str) -> tuple[str, ...]:
    return "run", "--", "sh", "-c", f"'{script}'"


CASES = [
    Case("a shell at its prompt", False, ("shell",), terminal=True),
    Case("one that sleeps", False, ("run", "--", "sleep", "600")),
    Case("one that has stopped itself", False, sh("kill -STOP $$")),
    Case("a loop that does next to nothing", False, sh("while sleep 1; do :; done")),
    Case("a server that waits", False, ("run", "--", "python3", "-m", "http.server")),
    Case("900 that sleep", False, sh("for i in $(seq 900); do sleep 600 & done; wait")),
    Case("a workspace whose client is only there", False, ("workspace", "sleep", "600")),
    Case("an rsync that is sent nothing", False, ("rsync", "--server", "-n", ".", "work/")),
    Case("one that computes", True, sh('while :; do timeout 0.1 sh -c "while :; do :; done"; sleep 0.9; done')),
    Case("one that prints a line now and then", True, sh(f"while sleep {EVERY}; do echo; done")),
    Case("one that is typed at", True, ("run", "--", "sleep", "600"), terminal=True, types="x"),
    Case("a workspace that is typed at", True, ("workspace", "cat >/dev/null"), terminal=True, types="x\n"),
    Case("one that is sent a line now and then", True, sh("while read line; do :; done"), types="x\n"),
    Case("an rsync that compares", True, (), rate=4000),
    Case("one that reads a file now and then", True, sh(f"while sleep {EVERY}; do cat file; done >/dev/null")),
]


SLOW = """
import os, subprocess, sys, time
rate = int(sys.argv[1])
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
try:
    while data := os.read(0, rate):
        child.stdin.write(data)
        child.stdin.flush()
        time.sleep(1)
except BrokenPipeError:
    pass
"""


def compare(who: Person, rate: int) -> subprocess.Popen[bytes]:
    """Tell by the names of 3,000 files, whose list is 200 KB, what would be copied."""
    local = who.key.parent / f"{who.name}-files"
    local.mkdir()
    for number in range(3000):
        (local / f"{hashlib.sha256(bytes(number)).hexdigest()}").touch()
    slow = local.with_suffix(".py")
    slow.write_text(SLOW)
    words = ["rsync", "-an", "-e", " ".join(("python3", str(slow), str(rate), "ssh", *who.options))]
    return subprocess.Popen([*words, f"{local}/", "gateway:work/"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def unlock(who: Person, stack: contextlib.ExitStack) -> Held:
    who.new("work")
    held = stack.enter_context(who.mounted("work", flags=("--json",)))
    assert who.ssh("run", "work", "--", "sh", "-c", "'echo content >file'").status == 0
    return held


def test_a_project_is_kept_by_programs_that_do_something_alone(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.view": f"{LIMIT:.0f}", "idle.warning": "4"})
    people = [gateway.person(f"p{number}") for number in range(len(CASES))]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as pool:

        def begin(pair: tuple[Case, Person]) -> Held:
            case, who = pair
            held = unlock(who, stack)
            case.start(who)  # before others are unlocked: on a slow machine that takes longer than the limit
            stack.callback(case.end)
            return held

        held = list(pool.map(begin, zip(CASES, people, strict=True)))
        watch(gateway, people, 2.5 * LIMIT)
        assert {case.label: bool(case.locked) for case in CASES} == {case.label: not case.kept for case in CASES}
        for case, mount in zip(CASES, held, strict=True):
            if not case.kept:
                assert LIMIT <= case.locked - case.began < LIMIT + LATE, case
                mount.wait()
                events = [
                    event for event in printed_events(mount) if event["event"] in ("warning", "relieved", "locked")
                ]
                assert [event["event"] for event in events][-2:] == ["warning", "locked"], case
                assert events[-1]["reason"] == "idle-view", case


def watch(gateway: Gateway, people: list[Person], seconds: float) -> None:
    """Act, and note when projects are locked."""
    until, acts = time.monotonic() + seconds, 0.0
    by_key = {who.fingerprint: case for who, case in zip(people, CASES, strict=True)}
    while (now := time.monotonic()) < until:
        if now >= acts:
            acts = now + EVERY
            for case in CASES:
                if case.types and not case.locked:
                    case.act()
        for record in gateway.events("locked"):
            case = by_key[str(record["fingerprint"])]
            case.locked = case.locked or time.monotonic()
        time.sleep(0.2)
