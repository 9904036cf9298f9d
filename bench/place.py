"""What the benches run against: a gateway in a temporary directory, and plain sshds to compare it with."""

from __future__ import annotations

import contextlib
import pwd
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.harness import Gateway, eventually
from tests.laptop import Laptop

SSHD = "/usr/sbin/sshd"
ROUND_TRIP = 20
"""Milliseconds, of a line that takes its time."""


@contextlib.contextmanager
def gateway(**settings: str) -> Iterator[Gateway]:
    """An embedded gateway for the length of the block, with `settings` and else the defaults."""
    with tempfile.TemporaryDirectory(prefix="enc-bench-") as name:
        place = Path(name)
        place.chmod(0o755)  # the gateway's account must reach it
        made = Gateway(place / "gw", settings, as_shipped=True).start()
        try:
            yield made
        finally:
            made.stop()


def delay_words(of: Gateway, milliseconds: int) -> str:
    """A ProxyCommand that reaches the gateway over a line with that round trip."""
    program = str(Path(__file__).with_name("delay.py"))
    return shlex.join([sys.executable, program, "127.0.0.1", str(of.ready["port"]), str(milliseconds)])


def delayed_config(mine: Laptop, words: str) -> Path:
    """The gateway's ssh_config with that ProxyCommand."""
    config = mine.root / "delayed_config"
    config.write_text(f"{mine.gateway.ssh_config.read_text()}\nHost gateway\n    ProxyCommand {words}\n")
    return config


def account(of: Gateway) -> pwd.struct_passwd:
    """The account that `of` runs sessions as."""
    return pwd.getpwnam(str(of.ready["account"]))


@contextlib.contextmanager
def sshd_forced_to(program: str, beside: Gateway) -> Iterator[int]:
    """A second sshd with the gateway's configuration, except for the port and the forced command. Yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    lines = (beside.root / "sshd_config").read_text().splitlines()
    for at, line in enumerate(lines):
        keyword = line.split()[:1]
        if keyword == ["Port"]:
            lines[at] = f"Port {port}"
        elif keyword == ["ForceCommand"]:
            lines[at] = f"    ForceCommand exec {program}"
    config = beside.root.parent / f"sshd_config-{port}"
    config.write_text("\n".join(lines) + "\n")
    with (beside.root.parent / f"sshd-{port}.log").open("w") as log:
        listener = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(port))
        yield port
    finally:
        listener.terminate()
        listener.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False


def session_pids(of: Gateway) -> dict[int, str]:
    """The processes of all live sessions, without sshd's: pid to `bwrap`, `warden` or `gocryptfs`."""
    found = {}
    for pid, args in of.session_processes().items():
        program = Path(args.split()[0]).name
        found[pid] = program if program in ("bwrap", "gocryptfs") else "warden"
    return found
