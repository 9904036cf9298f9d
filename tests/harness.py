"""A real gateway for tests: stock sshd, gocryptfs and bubblewrap behind `enc-gateway embedded`, and people who use it.

Rules: wait for ready *or* exit *or* deadline; whoever starts something ends it; after the last test nothing of the
gateway may be left (`Gateway.leftovers`).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import pty
import pwd
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.base.process import wait_readable
from gateway.identity.names import Principal

T = TypeVar("T")

PASSPHRASE = "correct horse battery staple"
PROMPT = "enc> "
PATIENCE = 30.0
"""Seconds that anything on a slow machine may take."""


def bindir() -> Path:
    """The directory with `enc-gateway` and `enc`; script/test sets it."""
    return Path(os.environ["ENC_BINDIR"])


def eventually(what: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true value of `what()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def stays(what: Callable[[], object], seconds: float) -> None:
    """Fails unless `what()` is true all the time for `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert what(), f"not true any more: {what}"
        time.sleep(0.1)


def need(there: bool, reason: str, but_not_on: str = "") -> None:
    """Skip the test with `reason` when this machine lacks something; in CI, where it must be there, fail. `but_not_on`:
    a distribution (ID in os-release(5)) that has it not, and where CI may lack it.
    """
    if there:
        return
    if os.environ.get("CI") and (not but_not_on or platform.freedesktop_os_release().get("ID") != but_not_on):
        pytest.fail(f"CI must have this: {reason}")
    pytest.skip(reason)


def changed_host(script: str) -> list[str]:
    """Words before a command that make `script` (sh) change the host for it alone: as an ordinary user, in mount and
    user namespaces of its own, where it may bind-mount over files and set sysctls. The command has no capability.
    """
    enc = [row for row in pwd.getpwall() if row.pw_name == "enc"]
    account = enc[0] if os.geteuid() == 0 and enc else pwd.getpwuid(os.geteuid())
    namespaces = ["unshare", "--mount", "--user", f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}"]
    drop = 'exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
    return [*namespaces, "--keep-caps", "sh", "-euc", f"{script}\n{drop}", "sh"]


def need_root() -> None:
    """For tests that look into processes of others, or make accounts."""
    need(os.geteuid() == 0, "not root")


def alive(pid: int) -> bool:
    """Whether process `pid` runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid: int) -> int:
    """The pid of the parent of `pid`."""
    return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@dataclass
class Gateway:
    """An embedded gateway in `root`, up between `start` and `stop`.

    `host` is a script for `changed_host`; `prefix` are words before its command line.
    """

    root: Path
    settings: dict[str, str] = field(default_factory=dict)
    host: str = ""
    prefix: tuple[str, ...] = ()
    _process: subprocess.Popen[str] | None = None
    ready: dict[str, object] = field(default_factory=dict)

    def start(self) -> Gateway:
        words = [*self.prefix, str(bindir() / "enc-gateway"), "embedded", str(self.root)]
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        if self.host:
            words = [*changed_host(self.host), *words]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the gateway did not start: exit {self._process.wait()}"
        self.ready = json.loads(line)
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ssh_config(self) -> Path:
        return self.root / "ssh_config"

    @property
    def vaults(self) -> Path:
        return self.root / "vaults"

    @property
    def authorized_keys(self) -> Path:
        return self.root / "authorized_keys"

    def person(self, name: str, principal: str = "", kind: str = "ed25519") -> Person:
        """Somebody with a new key that is authorized; `principal` becomes ENC_USER of its line."""
        key = self.root.parent / f"key-{name}"
        if not key.exists():
            words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@test", "-f", str(key)]
            subprocess.run(words, check=True)
        line = Path(f"{key}.pub").read_text()
        options = f'environment="ENC_USER={principal}" ' if principal else ""
        with self.authorized_keys.open("a") as file:
            file.write(options + line)
        return Person(self, name, key)

    def as_account(self, *words: str, stdin: str = "") -> Result:
        """Run a program as the account that has the vaults."""
        account = str(self.ready["account"])
        if os.geteuid() == 0 and account != "root":
            words = ("setpriv", "--reuid", account, "--regid", account, "--init-groups", *words)
        return run(list(words), stdin)

    def sessions(self) -> list[dict[str, object]]:
        """The records of live sessions, as they lie in the run directory."""
        found = []
        for path in sorted((self.root / "run" / "sessions").glob("*/record.json")):
            with contextlib.suppress(FileNotFoundError):  # it has ended since it was listed
                found.append(json.loads(path.read_text()))
        return found

    def warden(self) -> int:
        """The pid of the only session's warden."""
        (session,) = self.sessions()
        return int(str(session["pid"]))

    def audit(self) -> list[dict[str, object]]:
        """All records, oldest first."""
        path = Path(str(self.ready["audit"]))
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]  # not one half written

    def events(self, event: str, **fields: object) -> list[dict[str, object]]:
        """The audit records of one kind whose fields have these values."""
        return [
            record
            for record in self.audit()
            if record["event"] == event and all(record.get(key) == value for key, value in fields.items())
        ]

    def processes(self) -> dict[int, str]:
        """Everything below the gateway but itself: pid to command line."""
        lines = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 2) for line in lines.splitlines()]
        found = {self.pid}
        while more := {int(pid) for pid, parent, _ in rows if int(parent) in found} - found:
            found |= more
        return {int(pid): args for pid, _, args in rows if int(pid) in found - {self.pid}}

    def session_processes(self) -> dict[int, str]:
        """What only a live session has: bubblewrap, gocryptfs, attached programs, the warden."""
        signs = (
            "/usr/bin/bwrap",
            "gocryptfs",
            "gateway/warden",
            "disk/supervisor",
            "sftp-server",
            "/usr/bin/rsync",
            "/usr/bin/scp",
        )
        return {pid: args for pid, args in self.processes().items() if any(sign in args for sign in signs)}

    def leftovers(self) -> list[str]:
        """What should not be there when no session is: processes, mounts, records."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        mounts = [line for line in lines if " /projects" in line or str(self.root) in line]
        records = [str(path) for path in (self.root / "run" / "sessions").glob("*/record.json")]
        return [*map(str, self.session_processes().items()), *mounts, *records]


@dataclass(frozen=True)
class Person:
    """Somebody with a key: what they do with stock clients."""

    gateway: Gateway
    name: str
    key: Path

    @property
    def options(self) -> list[str]:
        return ["-F", str(self.gateway.ssh_config), "-i", str(self.key)]

    @property
    def fingerprint(self) -> str:
        said = subprocess.run(["ssh-keygen", "-lf", f"{self.key}.pub"], capture_output=True, text=True, check=True)
        return said.stdout.split()[1]

    def vault(self, project: str) -> Path:
        """The directory of a project whose key line names no principal."""
        return self.gateway.vaults / Principal.of_fingerprint(self.fingerprint).directory / project

    def fsck(self, project: str, passphrase: str = PASSPHRASE) -> Result:
        """`gocryptfs -fsck` on the vault of a locked project."""
        vault = self.vault(project)
        config = str(vault / "slots" / "passphrase.conf")
        secret = passphrase + "\n"
        return self.gateway.as_account(
            "gocryptfs", "-fsck", "-nosyslog", "-config", config, str(vault / "cipher"), stdin=secret
        )

    @contextlib.contextmanager
    def sshfs(self, project: str, where: Path) -> Iterator[subprocess.Popen[bytes]]:
        """`sshfs gateway:PROJECT WHERE`, mounted; gone at the end of the block."""
        where.mkdir()
        options = ["-F", str(self.gateway.ssh_config), "-o", f"IdentityFile={self.key}"]
        process = subprocess.Popen(["sshfs", "-f", *options, f"gateway:{project}", str(where)])
        try:
            eventually(lambda: os.path.ismount(where) or process.poll() is not None)
            assert process.poll() is None
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)
            subprocess.run(["umount", "-l", str(where)], capture_output=True, check=False)

    def argv(self, *words: str, extra: tuple[str, ...] = ()) -> list[str]:
        return ["ssh", *self.options, *extra, "gateway", *words]

    def ssh(
        self, *words: str, stdin: str | bytes = b"", extra: tuple[str, ...] = (), timeout: float = PATIENCE
    ) -> Result:
        """`ssh gateway WORDS` to its end."""
        return run(self.argv(*words, extra=extra), stdin, timeout)

    def new(self, project: str, passphrase: str = PASSPHRASE) -> None:
        result = self.ssh("new", project, stdin=passphrase + "\n")
        assert result.status == 0, result

    def sftp(self, *commands: str, extra: tuple[str, ...] = ()) -> Result:
        """`sftp -b -` with these batch commands."""
        return run(["sftp", *self.options, *extra, "-b", "-", "gateway"], "\n".join(commands) + "\n")

    def copy(self, tool: str, *words: str) -> Result:
        """`scp` or `rsync` with WORDS (in which `gateway:` is the gateway)."""
        if tool == "rsync":
            return run(["rsync", "-e", "ssh " + " ".join(self.options), *words])
        return run([tool, *self.options, *words])

    @contextlib.contextmanager
    def mounted(
        self, project: str, passphrase: str = PASSPHRASE, flags: tuple[str, ...] = (), extra: tuple[str, ...] = ()
    ) -> Iterator[Held]:
        """`ssh gateway mount PROJECT` in another terminal, unlocked; killed at the end of the block."""
        held = self.hold("mount", project, *flags, stdin=passphrase + "\n", extra=extra)
        try:
            held.read_until("unlocked")
            yield held
        finally:
            held.end()

    def hold(self, *words: str, stdin: str = "", extra: tuple[str, ...] = ()) -> Held:
        """A command that stays: its `ssh`, with standard input at its end."""
        return Held(self.argv(*words, extra=extra), stdin)

    def sftp_terminal(self, *flags: str) -> Terminal:
        """`sftp gateway` in a terminal of its own, at its prompt."""
        terminal = Terminal(["sftp", *self.options, *flags, "gateway"])
        terminal.expect("sftp> ")
        return terminal

    def terminal(self, *words: str, extra: tuple[str, ...] = ()) -> Terminal:
        """`ssh -tt gateway WORDS` in a terminal of its own."""
        return Terminal(self.argv(*words, extra=("-tt", *extra)))


class Held:
    """A client that holds its channel: read from it, kill it, wait for its end."""

    def __init__(self, argv: list[str], stdin: str) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(stdin.encode())
        self.process.stdin.close()
        self.said = ""

    def read_until(self, text: str, seconds: float = PATIENCE) -> str:
        """Everything on standard output so far, once `text` is in it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while text not in self.said:
            ready = wait_readable(self.process.stdout.fileno(), max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            assert chunk, f"no {text!r} but {self.said!r}, {self._errors()!r}"
            self.said += chunk.decode()
        return self.said

    def _errors(self) -> str:
        if self.process.poll() is None:
            return "(still running)"
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def wait(self, seconds: float = PATIENCE) -> Result:
        """The end that it comes to by itself."""
        assert self.process.stdout and self.process.stderr
        status = self.process.wait(seconds)
        self.said += self.process.stdout.read().decode()
        return Result(status, self.said, self.process.stderr.read().decode())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        self.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream and not stream.closed:
                stream.close()


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)  # noqa: S606
        self.seen = ""
        self._mark = 0
        self._status: int | None = None

    def expect(self, text: str, seconds: float = PATIENCE) -> str:
        """What was shown up to and with `text`, which must come after what was expected before."""
        deadline = time.monotonic() + seconds
        while (at := self.seen.find(text, self._mark)) < 0:
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            chunk = self._read() if ready else b""
            assert chunk, f"no {text!r} after {self.seen[self._mark :]!r}"
            self.seen += chunk.decode(errors="replace")
        before, self._mark = self.seen[self._mark : at + len(text)], at + len(text)
        return before

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError:  # EIO: the other side is closed
            return b""

    def send(self, text: str) -> None:
        self.send_bytes(text.encode())

    def send_bytes(self, data: bytes) -> None:
        os.write(self._fd, data)

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size; who has the terminal gets SIGWINCH."""
        termios.tcsetwinsize(self._fd, (rows, columns))

    def wait(self, seconds: float = PATIENCE) -> int:
        """Read to the end; the exit status."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"it did not end: {self.seen!r}"
            chunk = self._read()
            if not chunk:
                break
            self.seen += chunk.decode(errors="replace")
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def close(self) -> None:
        """Close the window: the terminal hangs up."""
        os.close(self._fd)
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGHUP)
            os.waitpid(self.pid, 0)


def admin(gateway: Gateway, *words: str, stdin: str = "") -> Result:
    """`enc-gateway WORDS`, as a sysadmin of this gateway."""
    return run([str(bindir() / "enc-gateway"), *words, "--config", str(gateway.root / "gateway.toml")], stdin)


def run(argv: list[str], stdin: str | bytes = b"", timeout: float = PATIENCE) -> Result:
    """Run to the end, with no terminal. Whatever came of it, it was no traceback."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout, check=False)
    result = Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert "Traceback" not in result.out + result.err, result
    return result
