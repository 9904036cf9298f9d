"""What a front keeps to itself: descriptors, limits, modules, and the length of a line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PROMPT, Gateway, Person, Terminal, bindir, eventually, need_root, run


@pytest.fixture
def front(gateway: Gateway, prompt: Terminal) -> int:
    """The pid of a front that lives: that of a prompt."""
    need_root()

    def only() -> int:
        pids = [pid for pid, words in gateway.processes().items() if "rshell/__main__" in words]
        return pids[0] if len(pids) == 1 else 0  # that of a client that was killed may take a moment to end

    return eventually(only)


def limits(pid: int) -> dict[str, tuple[str, str]]:
    """Soft and hard limits of a process, by the names of proc(5)."""
    rows = [line[:26].strip() + "|" + line[26:] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]]
    return {name: (words.split()[0], words.split()[1]) for name, _, words in (row.partition("|") for row in rows)}


def test_a_front_has_its_channel_open_and_nothing_else(front: int) -> None:
    assert sorted(os.listdir(f"/proc/{front}/fd")) == ["0", "1", "2"]


def test_a_front_dumps_no_core_and_has_bounds(front: int) -> None:
    found = limits(front)
    assert found["Max core file size"] == ("0", "0")
    assert int(found["Max data size"][0]) <= 1 << 29
    assert int(found["Max cpu time"][0]) <= 300


def test_a_session_has_not_the_bounds_of_the_front_that_it_was(gateway: Gateway, person: Person, project: str) -> None:
    need_root()
    with person.mounted(project):
        found = limits(gateway.warden())
    assert found["Max core file size"] == ("0", "0")
    assert found["Max data size"][0] == found["Max data size"][1]
    assert found["Max cpu time"][0] == found["Max cpu time"][1]


def test_a_session_starts_with_an_environment_made_from_nothing(gateway: Gateway, person: Person, project: str) -> None:
    need_root()
    with person.mounted(project):
        for pid in gateway.session_processes():
            names = {word.partition(b"=")[0] for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if word}
            assert names <= {b"PATH", b"LANG", b"PWD"}, (pid, names)


def test_a_front_is_isolated_and_its_modules_are_not_the_accounts_to_write(gateway: Gateway, front: int) -> None:
    words = Path(f"/proc/{front}/cmdline").read_bytes().split(b"\0")
    assert words[1:3] == [b"-I", b"-S"]
    python = words[0].decode()
    said = run([python, "-I", "-S", "-c", "import sys; print(*sys.path, sep='\\n')"])
    code = next(bindir().parent.glob("lib/python*/site-packages"))
    for directory in (*said.out.split(), str(code), *(str(path) for path in code.glob("*/")), str(Path(python).parent)):
        if Path(directory).exists():
            assert gateway.as_account("test", "-w", directory).status == 1, directory
    assert "Umask:\t0077\n" in Path(f"/proc/{front}/status").read_text()


# ------------------------------------------------------------------ the prompt's line


def test_a_line_that_is_too_long_is_cut_refused_and_its_rest_is_no_command(person: Person, prompt: Terminal) -> None:
    person.new("kept")
    prompt.send("a" * 9000 + " ; rm kept --yes\n")
    prompt.expect("enc: that line is refused: it is longer than 8192 bytes")
    prompt.expect(PROMPT)
    prompt.send("whoami\n")
    prompt.expect(person.fingerprint)
    assert person.vault("kept").is_dir()


def test_a_line_without_end_is_cut_before_there_is_an_enter(prompt: Terminal) -> None:
    prompt.send("b" * 9000)
    prompt.expect("\r\n")
    prompt.send("b" * 9000)
    prompt.expect("\r\n")
    prompt.send("rest\n")
    prompt.expect("longer than 8192 bytes")


def test_the_longest_line_is_a_line(prompt: Terminal) -> None:
    prompt.send("help " + "c" * 4090 + "\n")
    prompt.expect("enc: help takes the name of one command")


def test_the_line_follows_the_size_of_the_window(prompt: Terminal) -> None:
    prompt.resize(24, 30)
    prompt.send("whoami" + " " * 40)
    prompt.expect("<")  # scrolled sideways: readline knows that the window is narrow
    prompt.send("\n")
    prompt.expect("principal")


# ------------------------------------------------------------------ the record


def test_half_a_line_at_the_end_of_the_log_stops_nobody(make_gateway: Callable[..., Gateway]) -> None:
    """Power was lost in the middle of a record. A front does not load json, whose words for it would be missing."""
    gateway = make_gateway()
    person = gateway.person("somebody")
    assert person.ssh("whoami").status == 0
    with Path(str(gateway.ready["audit"])).open("a") as log:
        log.write('{"seq":3,"time":"2026-01-01T00:0')
    for _ in range(2):
        result = person.ssh("ls")
        assert result.status == 0, result
