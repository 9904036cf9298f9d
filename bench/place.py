"""What the benches stand on: a gateway in a temporary directory, and bare sshds beside it to compare with."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.harness import Gateway, Person, eventually

SSHD = "/usr/sbin/sshd"


@contextlib.contextmanager
def gateway(**settings: str) -> Iterator[Gateway]:
    """An embedded gateway with its default settings but for those given, ended with the block."""
    with tempfile.TemporaryDirectory(prefix="enc-bench-") as name:
        place = Path(name)
        place.chmod(0o755)  # as root, the gateway's account has to pass through
        made = Gateway(place / "gw", settings).start()
        try:
            yield made
        finally:
            made.stop()


def account(of: Gateway) -> pwd.struct_passwd:
    """The account that `of` runs sessions as."""
    return pwd.getpwnam(str(of.ready["account"]))


@contextlib.contextmanager
def sshd_forced_to(program: str, beside: Gateway) -> Iterator[int]:
    """The gateway's sshd once more, with its very configuration but for the port and the forced command. The port."""
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


@contextlib.contextmanager
def shared_connection(who: Person, port: int) -> Iterator[tuple[str, ...]]:
    """A ControlMaster of `who` to `port`, ended with the block: the options that make `ssh` use it."""
    with tempfile.TemporaryDirectory(prefix="enc-bench-") as name:
        options = ("-p", str(port), "-o", f"ControlPath={name}/c")
        master = subprocess.Popen(who.argv("-N", extra=("-o", "ControlMaster=yes", *options)))
        try:
            eventually(lambda: os.path.exists(f"{name}/c"))
            yield options
        finally:
            master.terminate()
            master.wait()


def session_pids(of: Gateway) -> dict[int, str]:
    """The processes of all live sessions: pid to `bwrap`, `warden` or `gocryptfs`. sshd's own are not among them."""
    found = {}
    for pid, args in of.session_processes().items():
        program = Path(args.split()[0]).name
        found[pid] = program if program in ("bwrap", "gocryptfs") else "warden"
    return found
