"""A real gateway for tests: stock sshd, gocryptfs and bubblewrap behind `enc-gateway embedded`, and people who use it.

Rules: wait for ready *or* exit *or* deadline; who starts something ends it; after the last test nothing of the gateway
may be left (`Gateway.leftovers`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.identity.names import Principal
from tests.clients import Held, Result, Terminal, run
from tests.conditions import (
    PATIENCE,
    alive,
    bindir,
    changed_host,
    eventually,
    need,
    need_root,
    open_files,
    parent,
    stays,
)

__all__ = [
    "PASSPHRASE",
    "PATIENCE",
    "PROMPT",
    "Gateway",
    "Held",
    "Person",
    "Result",
    "Terminal",
    "admin",
    "alive",
    "bindir",
    "changed_host",
    "eventually",
    "need",
    "need_root",
    "open_files",
    "parent",
    "run",
    "stays",
]
"""Tests import all of it from here."""

PASSPHRASE = "correct horse battery staple"
PROMPT = "enc> "


@dataclass
class Gateway:
    """An embedded gateway in `root`, up between `start` and `stop`.

    `host` is a script for `changed_host`; `prefix` the words to put before its command line, `options` those after.
    With `as_shipped`, its transport is that of 40-enc-transport.conf, and its passphrases cost what they do by default:
    0.3 s of a processor for each unlock, nearly half of the time of all tests.
    """

    root: Path
    settings: dict[str, str] = field(default_factory=dict)
    host: str = ""
    prefix: tuple[str, ...] = ()
    as_shipped: bool = False
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[str] | None = None
    ready: dict[str, object] = field(default_factory=dict)

    def start(self) -> Gateway:
        words = [*self.prefix, str(bindir() / "enc-gateway"), "embedded", str(self.root), *self.options]
        quickly = {} if self.as_shipped else {"passphrase.cost": "10"}
        for key, value in {**quickly, **self.settings}.items():
            words += ["--set", f"{key}={value}"]
        if self.host:
            words = [*changed_host(self.host), *words]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the gateway did not start: exit {self._process.wait()}"
        self.ready = json.loads(line)
        if not self.as_shipped:
            self._exchange_keys_quickly()
        return self

    def _exchange_keys_quickly(self) -> None:
        """Let sshd and clients with our ssh_config exchange keys by X25519 alone, and wait until sshd does.

        Of every connection to a gateway as it is shipped, sntrup761 takes most of the time: 0.15 s of a processor in
        OpenSSH 9.2. Tests of the transport and of stock clients have it (`as_shipped`).
        """
        config, log = self.root / "sshd_config", self.root / "log" / "sshd.log"
        text = config.read_text()
        assert "KexAlgorithms -curve25519*," in text
        config.write_text(text.replace("KexAlgorithms -curve25519*,", "KexAlgorithms -"))
        with self.ssh_config.open("a") as file:
            file.write("    KexAlgorithms ^curve25519-sha256\n")
        (listener,) = (pid for pid, args in self.processes().items() if f"-f {config} " in args)
        starts = log.read_text(errors="replace").count("Server listening on ")
        os.kill(listener, signal.SIGHUP)
        eventually(lambda: log.read_text(errors="replace").count("Server listening on ") > starts)

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
        return Path(str(self.ready["vaults"]))

    @property
    def authorized_keys(self) -> Path:
        return Path(str(self.ready["authorized_keys"]))

    def person(self, name: str, principal: str = "", kind: str = "ed25519") -> Person:
        """A new person with an authorized key; `principal` becomes the ENC_USER of the key's line ("": none)."""
        key = self.root.parent / f"key-{name}"
        if not key.exists():
            words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@test", "-f", str(key)]
            subprocess.run(words, check=True)
        line = Path(f"{key}.pub").read_text()
        options = f'environment="ENC_USER={principal}" ' if principal else ""
        with self.authorized_keys.open("a") as file:
            file.write(options + line)
        return Person(self, name, key)

    def as_account(self, *words: str, stdin: str = "", timeout: float = PATIENCE) -> Result:
        """Run a program as the gateway's account."""
        account = str(self.ready["account"])
        if os.geteuid() == 0 and account != "root":
            words = ("setpriv", "--reuid", account, "--regid", account, "--init-groups", *words)
        return run(list(words), stdin, timeout)

    def sessions(self) -> list[dict[str, object]]:
        """The records of live sessions in the run directory."""
        found = []
        for path in sorted((self.root / "run" / "sessions").glob("*/*/record.json")):
            with contextlib.suppress(FileNotFoundError):  # the session has ended since
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
        return [
            json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()
        ]  # without a last line that is only half written

    def events(self, event: str, **fields: object) -> list[dict[str, object]]:
        """The audit records of this event whose fields have these values."""
        return [
            record
            for record in self.audit()
            if record["event"] == event and all(record.get(key) == value for key, value in fields.items())
        ]

    def processes(self) -> dict[int, str]:
        """All descendants of the gateway: pid to command line."""
        lines = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 2) for line in lines.splitlines()]
        found = {self.pid}
        while more := {int(pid) for pid, ppid, _ in rows if int(ppid) in found} - found:
            found |= more
        return {int(pid): args for pid, _, args in rows if int(pid) in found - {self.pid}}

    def session_processes(self) -> dict[int, str]:
        """The processes of live sessions: bubblewrap, gocryptfs, attached programs, wardens, quota supervisors."""
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
        """What must not exist without a session: processes, mounts, records."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        mounts = [line for line in lines if " /projects" in line or str(self.root) in line]
        records = [str(path) for path in (self.root / "run" / "sessions").glob("*/*/record.json")]
        return [*map(str, self.session_processes().items()), *mounts, *records]


def is_watchdog(pid: int) -> bool:
    """Whether it is a session's watchdog: the one process of a session that is in no sandbox, beside bubblewrap."""
    try:
        return b"late=none" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
        return False


@dataclass(frozen=True)
class Person:
    """A person with a key, who uses stock clients."""

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
        """The vault of a project, for a key whose line names no principal."""
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
        """`sshfs gateway:PROJECT WHERE` for the length of the block."""
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
        """Run `ssh gateway WORDS` to its end."""
        return run(self.argv(*words, extra=extra), stdin, timeout)

    def new(self, project: str, passphrase: str = PASSPHRASE) -> None:
        result = self.ssh("new", project, stdin=passphrase + "\n")
        assert result.status == 0, result

    def sftp(self, *commands: str, extra: tuple[str, ...] = ()) -> Result:
        """Run `sftp -b -` with these batch commands."""
        return run(["sftp", *self.options, *extra, "-b", "-", "gateway"], "\n".join(commands) + "\n")

    def copy(self, tool: str, *words: str) -> Result:
        """Run `scp` or `rsync` with WORDS, in which `gateway:` is the gateway."""
        if tool == "rsync":
            return run(["rsync", "-e", "ssh " + " ".join(self.options), *words])
        return run([tool, *self.options, *words])

    @contextlib.contextmanager
    def mounted(
        self, project: str, passphrase: str = PASSPHRASE, flags: tuple[str, ...] = (), extra: tuple[str, ...] = ()
    ) -> Iterator[Held]:
        """`ssh gateway mount PROJECT` in the background, unlocked for the length of the block, then killed."""
        held = self.hold("mount", project, *flags, stdin=passphrase + "\n", extra=extra)
        try:
            held.read_until("unlocked")
            yield held
        finally:
            held.end()

    def hold(self, *words: str, stdin: str = "", extra: tuple[str, ...] = ()) -> Held:
        """Start `ssh gateway WORDS` and leave it running; its standard input is `stdin` and then ends."""
        return Held(self.argv(*words, extra=extra), stdin)

    def sftp_terminal(self, *flags: str) -> Terminal:
        """`sftp gateway` in a new terminal, at its prompt."""
        terminal = Terminal(["sftp", *self.options, *flags, "gateway"])
        terminal.expect("sftp> ")
        return terminal

    def terminal(self, *words: str, extra: tuple[str, ...] = ()) -> Terminal:
        """`ssh -tt gateway WORDS` in a new terminal."""
        return Terminal(self.argv(*words, extra=("-tt", *extra)))


def admin(gateway: Gateway, *words: str, stdin: str = "") -> Result:
    """Run `enc-gateway WORDS` as a sysadmin of this gateway."""
    return run([str(bindir() / "enc-gateway"), *words, "--config", str(gateway.root / "gateway.toml")], stdin)
