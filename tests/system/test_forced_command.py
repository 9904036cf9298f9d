"""The forced command as sshd would run it, started by us: with more open than sshd leaves, and Ctrl-C at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, eventually, need_root


@pytest.fixture
def command(gateway: Gateway) -> list[str]:
    """What sshd runs, as the account: the account's shell on the line in sshd_config."""
    need_root()
    lines = (gateway.root / "sshd_config").read_text().splitlines()
    (line,) = [line.strip().removeprefix("ForceCommand ") for line in lines if line.strip().startswith("ForceCommand ")]
    account = str(gateway.ready["account"])
    return ["setpriv", "--reuid", account, "--regid", account, "--init-groups", "/bin/sh", "-c", line]


@pytest.fixture
def environment(person: Person, tmp_path_factory: pytest.TempPathFactory, place: Path) -> Iterator[dict[str, str]]:
    """What sshd says of `person`, and a line that waits for a passphrase."""
    key = Path(f"{person.key}.pub").read_text().split()
    about = place / f"sshauth-{person.name}"
    about.write_text(f"publickey {key[0]} {key[1]}\n")
    yield {
        "SSH_USER_AUTH": str(about),
        "SSH_CONNECTION": "127.0.0.1 50000 127.0.0.1 22",
        "SSH_ORIGINAL_COMMAND": "new waiting",
        "PATH": "/usr/bin:/bin",
    }
    about.unlink()


def start(command: list[str], environment: dict[str, str], passed: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=passed,
        start_new_session=True,
    )


def test_whatever_was_open_is_closed(command: list[str], environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    with start(command, environment, (reader, writer)) as front:
        os.close(reader)
        os.close(writer)
        assert front.stderr
        assert "at least" in front.stderr.readline()  # it asks: `python -I` runs, and is done with starting
        eventually(lambda: "reading one line" in front.stderr.readline() if front.stderr else True)
        assert sorted(os.listdir(f"/proc/{front.pid}/fd")) == ["0", "1", "2"]
        front.communicate("")


def test_ctrl_c_is_answered_by_us_at_each_millisecond_of_the_start(
    command: list[str], environment: dict[str, str]
) -> None:
    said = []
    for moment in range(45):
        with start(command, environment) as front:
            time.sleep(moment / 1000)
            os.killpg(front.pid, signal.SIGINT)
            _, err = front.communicate("", timeout=30)
            said.append((moment, front.returncode, err))
    for moment, status, err in said:
        assert "KeyboardInterrupt" not in err and "Traceback" not in err, (moment, err)
        # 130: interrupted; 64: not noticed yet, and standard input has ended; -2: before there was an interpreter
        assert status in (130, 64, -2), (moment, status, err)
