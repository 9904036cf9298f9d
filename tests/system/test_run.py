"""`run`: a program of the user's choice works in the project, and in nothing else."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Held, Result, alive, bindir, eventually
from tests.life import lock_reasons, session, sessions_in_status, unlock, view
from tests.running import UnlockedProject, unlocked_project


@pytest.fixture(scope="module")
def at(gateway: Gateway) -> Iterator[UnlockedProject]:
    """One unlocked project for all tests here that leave it unlocked."""
    with unlocked_project(gateway, "runner") as made:
        yield made


# ------------------------------------------------------------------ it works


def test_a_program_runs_in_the_project_and_its_status_is_passed_on(at: UnlockedProject) -> None:
    assert at.run("pwd").out == f"/projects/{at.project}\n"
    assert at.sh("echo out; echo err >&2; exit 7") == Result(7, "out\n", "err\n")
    assert at.run("sh", "-c", "kill -KILL $$").status == 137
    assert at.run("sh", "-c", "kill -TERM $$").status == 143


def test_what_it_writes_in_the_project_stays(at: UnlockedProject, tmp_path: Path) -> None:
    assert at.sh("echo built > result").status == 0
    assert at.person.sftp(f"get {at.project}/result {tmp_path}/result", extra=at.shared).status == 0
    assert (tmp_path / "result").read_text() == "built\n"


def test_standard_input_and_output_stream(at: UnlockedProject) -> None:
    blob = os.urandom(300_000)
    assert at.run("sha256sum", stdin=blob).out.split()[0] == hashlib.sha256(blob).hexdigest()
    held = at.person.hold(*at.words("sh", "-c", "echo first; sleep 60"), extra=at.shared)
    try:
        assert held.read_until("first") == "first\n", "it is there before the program ends"
    finally:
        held.end()


def test_words_arrive_as_they_were_sent(at: UnlockedProject) -> None:
    words = ["a b", "", "*", "$HOME", "`id`", "--net", "--", "-x", "é", "'", '"', "\\", ";&|"]
    assert at.run("printf", "%s\\n", *words).out == "".join(word + "\n" for word in words)


ANY_BYTE = bytes(range(1, 256)).decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["one\ntwo"], id="a line break"),
        pytest.param(["a\tb", "\t", "\n", "\r\n"], id="blanks of all kinds"),
        pytest.param([ANY_BYTE], id="every byte but NUL"),
        pytest.param(["\u202e\u2028\ufeff", "\x1b[2J"], id="what is not shown as it is"),
        pytest.param(["x"] * 300, id="300 words"),
        pytest.param(["y"] * 7_000, id="7,000 words"),
        pytest.param(["z" * 5_000], id="a word of 5,000 characters"),
        pytest.param(["é" * 30_000, "\n" * 60_000], id="120 KB"),
    ],
)
def test_words_may_be_anything_that_ssh_carries(at: UnlockedProject, words: list[str]) -> None:
    script = "import os, sys; sys.stdout.buffer.write(os.fsencode(ascii(sys.argv[1:])))"
    assert at.run("python3", "-c", script, *words).out == ascii(words)
    log = Path(str(at.gateway.ready["audit"])).read_bytes()
    assert b"u202e" not in log and b"\\x1b" not in log and b"yyyy" not in log


def test_a_script_of_several_lines_runs(at: UnlockedProject) -> None:
    assert at.sh("echo one\necho two").out == "one\ntwo\n"
    assert at.run("sh", "-c", "cat <<end\n\tx\nend\n").out == "\tx\n"


def test_a_line_break_outside_of_quotes_is_no_word(at: UnlockedProject) -> None:
    for line in ("true\nid", "true\n", "true \\\n", 'true "\\\n"'):
        result = at.person.ssh(f"run {at.project} -- {line}", extra=at.shared)
        assert (result.status, result.out) == (127, "")
        assert "a line break outside quotes" in result.err


def test_more_words_than_a_sandbox_takes_and_a_name_that_a_terminal_acts_on_are_refused(at: UnlockedProject) -> None:
    result = at.run("true", *("x" * 8_000))
    assert (result.status, "more than 8000 words" in result.err) == (127, True)
    result = at.run("\x1b[2Jx", "y")
    assert (result.status, result.err.count("\x1b")) == (64, 0)
    assert at.run("sh", "-c", "printf '#!/bin/sh\\necho odd\\n' >'a\nb' && chmod +x 'a\nb' && ./'a\nb'").out == "odd\n"


def test_a_script_of_the_project_runs(at: UnlockedProject) -> None:
    assert at.sh("printf '#!/bin/sh\\necho mine\\n' > tool && chmod +x tool").status == 0
    assert at.run("./tool").out == "mine\n"


def test_an_unknown_program_is_127_and_one_that_cannot_be_run_126(at: UnlockedProject) -> None:
    assert at.run("no-such-program").status == 127
    assert at.run("/usr").status == 126


def test_without_the_view_it_is_69_with_a_hint(gateway: Gateway, at: UnlockedProject) -> None:
    at.person.new("locked")
    result = at.person.ssh("run", "locked", "--", "true", extra=at.shared)
    assert (result.status, result.err) == (69, "enc: locked is not unlocked; `mount locked` unlocks it\n")
    assert at.person.ssh("run", "unknown", "--", "true", extra=at.shared).status == 66
    assert gateway.person("runner-stranger").ssh("run", at.project, "--", "true").status == 66
    assert at.person.ssh("run", at.project, "true", extra=at.shared).status == 64


def test_it_sees_the_other_views_of_the_session(gateway: Gateway) -> None:
    person = gateway.person("runner-two")
    person.new("one")
    person.new("two")
    with session(person) as (_, shared):
        unlock(person, "one", shared)
        unlock(person, "two", shared)
        result = person.ssh("run", "one", "--", "sh", "-c", "'echo x > ../two/f; ls ..'", extra=shared)
        assert (result.status, result.out.split()) == (0, ["one", "two"])


def test_the_audit_names_the_project_and_not_the_program(at: UnlockedProject) -> None:
    assert at.run("true", "secretword").status == 0
    assert at.gateway.events("request", verb="run", project=at.project)
    assert "secretword" not in Path(str(at.gateway.ready["audit"])).read_text()


# ------------------------------------------------------------------ where it can write


def test_there_is_private_memory_to_write_to_and_nothing_else(at: UnlockedProject) -> None:
    result = at.sh(
        "for d in /tmp /run /dev/shm $HOME .; do echo x > $d/f || echo $d; done;"
        "for d in / /usr /usr/bin /usr/local /etc /dev /dev/pts /proc /projects /home /var /opt /root /lib /sys;"
        "do ( echo x > $d/f ) 2>/dev/null && echo $d; mkdir $d/d 2>/dev/null && echo $d; done; true"
    )
    assert (result.status, result.out) == (0, "")


def test_every_writable_mount_is_a_view_or_memory(at: UnlockedProject) -> None:
    mounts = [line.split() for line in at.run("cat", "/proc/self/mounts").out.splitlines()]
    kinds = {kind for _, _, kind, options, *_ in mounts if options.split(",")[0] == "rw"}
    # the nodes of /dev, which are no files, are devtmpfs; /proc has no file that holds anything
    assert kinds <= {"tmpfs", "fuse.gocryptfs", "proc", "devpts", "devtmpfs"}
    assert {path for _, path, kind, options, *_ in mounts if kind == "tmpfs" and options.startswith("rw")} <= {
        *("/tmp", "/run", "/dev/shm", "/home/enc")
    }


def test_what_it_wrote_beside_the_project_is_gone_with_it(at: UnlockedProject) -> None:
    assert at.sh("echo x > /tmp/f; echo x > $HOME/f; ls /tmp $HOME").status == 0
    assert at.sh("ls -A /tmp /run /dev/shm $HOME").out.replace("\n", "").replace(":", "") == "".join(
        ("/dev/shm", "/home/enc", "/run", "/tmp")
    )


# ------------------------------------------------------------------ it ends


STUBBORN = (
    "import os, signal, time\n"
    "for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0: os.setsid()\n"
    "keep = open('kept-open', 'w')\n"
    "print('up', flush=True)\n"
    "time.sleep(600)\n"
)
"""Three processes in sessions of their own that ignore what can be ignored, and use the view."""


def programs(gateway: Gateway) -> set[int]:
    """The processes of STUBBORN, and bubblewrap around them, as the host sees them."""
    return {pid for pid, args in gateway.processes().items() if "stubborn.py" in args}


def start_stubborn(at: UnlockedProject) -> Held:
    """STUBBORN, running on a connection of its own."""
    at.put("stubborn.py", STUBBORN)
    held = at.hold("python3", "stubborn.py")
    held.read_until("up\nup\nup\n")
    return held


def test_a_stubborn_program_dies_with_its_channel(at: UnlockedProject) -> None:
    held = start_stubborn(at)
    assert len(eventually(lambda: programs(at.gateway))) >= 4
    held.kill()
    eventually(lambda: not programs(at.gateway), 10)
    held.end()
    assert at.run("true").status == 0, "the session goes on"


@pytest.mark.parametrize("way", ["unmount", "the mount's end", "the warden's SIGTERM"])
def test_a_stubborn_program_dies_with_the_lock(gateway: Gateway, way: str) -> None:
    with unlocked_project(gateway, f"runner-{len(way)}") as at:
        held = start_stubborn(at)
        pids = eventually(lambda: programs(gateway))
        (record,) = [one for one in gateway.sessions() if one["fingerprint"] == at.person.fingerprint]
        if way == "unmount":
            assert at.person.ssh("unmount", at.project, extra=at.shared).status == 0
            assert not any(map(alive, pids)), "locked means that nobody has it any more"
        elif way == "the mount's end":
            at.held.kill()
        else:
            os.kill(int(str(record["pid"])), signal.SIGTERM)
        eventually(lambda: not any(map(alive, pids)), 15)
        eventually(lambda: gateway.events("locked", session=record["id"]))
        assert held.wait().status != 0
        assert not gateway.events("locked", session=record["id"], forced=True)
        held.end()
    assert at.person.fsck(at.project).status == 0


def test_a_program_takes_no_longer_than_its_time(at: UnlockedProject) -> None:
    began = time.monotonic()
    result = at.run("sleep", "600", flags=("--time", "1"))
    assert (result.status, result.err) == (124, "enc: the program was stopped after 1 s\n")
    at.put("stubborn.py", STUBBORN)
    assert at.run("python3", "stubborn.py", flags=("--time", "1s")).status == 124
    assert time.monotonic() - began < 60
    eventually(lambda: not programs(at.gateway), 10)
    assert at.run("true", flags=("--time", "1h")).status == 0


def test_what_it_left_running_ends_with_it(at: UnlockedProject) -> None:
    at.put("stubborn.py", STUBBORN)
    assert at.sh("python3 stubborn.py > /dev/null & until [ -e kept-open ]; do sleep 0.05; done").status == 0
    eventually(lambda: not programs(at.gateway), 10)


# ------------------------------------------------------------------ it is activity


def test_a_program_at_work_keeps_its_project_unlocked(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"idle.view": "2", "idle.session": "2", "idle.warning": "1"})
    with unlocked_project(gateway, "busy") as at:
        held = at.person.hold(*at.words("timeout", "6", "sh", "-c", "while :; do :; done"), extra=at.shared)
        time.sleep(4)
        (session,) = sessions_in_status(at.person, at.shared)
        assert session["last_activity"] == view(session, at.project)["last_activity"] == "run"
        assert held.wait().status == 124, "no program is stopped for want of I/O"
        assert not lock_reasons(gateway, at.project)
        eventually(lambda: lock_reasons(gateway, at.project) == ["idle-view"], 20)


# ------------------------------------------------------------------ policy


def test_the_sysadmin_says_what_may_be_run(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    tools = ground / "toolchain"
    tools.mkdir()
    (tools / "tool").write_text("#!/bin/sh\necho from the toolchain\n")
    (tools / "tool").chmod(0o755)
    gateway = make_gateway(**{"run.commands": f"cat,{tools}/tool,true", "run.paths": str(tools)})
    with unlocked_project(gateway, "told") as at:
        assert at.run(f"{tools}/tool").out == "from the toolchain\n"
        assert at.run("true").status == 0
        for words in (("sh", "-c", "true"), ("/usr/bin/cat",), ("./cat",), ("tool",)):
            refused = at.run(*words)
            assert (refused.status, refused.out) == (126, ""), words
        said = "enc: shell is switched off here: `run` may start certain programs only; ask your sysadmin to allow it\n"
        shell = at.person.ssh("shell", at.project, extra=at.shared)
        assert (shell.status, shell.err) == (126, said)
        assert at.run("true", flags=("--net",)).status == 126
    denied = gateway.events("request", verb="run", decision="deny", reason="not-allowed-here")
    assert len(denied) == 5


def test_a_gateway_may_run_nothing(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(**{"run.commands": ""})
    person = gateway.person("nobody")
    person.new("p")
    with person.mounted("p"):
        result = person.ssh("run", "p", "--", "true")
    said = "enc: run is switched off here; ask your sysadmin to allow it\n"
    assert (result.status, result.err) == (126, said)


def test_the_limits_of_a_program_hold(make_gateway: Callable[..., Gateway]) -> None:
    limits = {
        "processes": "20",
        "memory": "200",
        "cpu": "1",
        "file_size": "3",
        "output": "1",
        "tmpfs": "2",
        "time": "20",
    }
    gateway = make_gateway(**{f"run.{name}": value for name, value in limits.items()})
    with unlocked_project(gateway, "limited") as at:
        bomb = at.sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 5 & done; true")
        assert "fork" in bomb.err
        assert at.sh("python3 -c 'bytearray(300 << 20)' 2>&1 | tail -n 1").out == "MemoryError\n"
        assert at.python("while True: pass").status in (128 + signal.SIGXCPU, 128 + signal.SIGKILL)
        assert at.sh("head -c 4000000 /dev/zero > big").status != 0
        assert at.sh("head -c 4000000 /dev/zero > /tmp/f").err.endswith("No space left on device\n")
        loud = at.run("head", "-c", "5000000", "/dev/zero")
        assert (loud.status, len(loud.out) <= 1 << 20) == (124, True)
        assert loud.err == "enc: the program was stopped: it printed more than 1 MiB\n"
        assert at.sh("head -c 1000000 /dev/zero").status == 0
        assert at.run("sh", "-c", "ulimit -p; ulimit -c").out == "20\n0\n"


def test_the_doctor_says_how_programs_are_limited(at: UnlockedProject) -> None:
    settings = str(at.gateway.root / "gateway.toml")
    said = at.gateway.as_account(str(bindir() / "enc-gateway"), "doctor", "--config", settings, "--json")
    findings = {str(one["subject"]): one for one in said.json["findings"]}  # type: ignore[attr-defined]
    assert findings["run"]["level"] == "OK"
    assert findings["limits of programs"]["state"].startswith("rlimits")


def test_out_of_memory_takes_a_program_first(at: UnlockedProject) -> None:
    assert at.run("cat", "/proc/self/oom_score_adj").out == "500\n"
