"""A user's machine for tests of `enc`: a home, a runtime directory and terminals of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from client.state.records import Mount, State
from client.state.store import Store
from client.system import linux
from client.system.linux import MountEntry
from client.system.processes import Process
from client.system.processes import is_alive as is_alive
from tests.harness import PASSPHRASE, Gateway, Person, Result, Terminal, bindir, eventually, run

PROMPT = "ready> "


@dataclass(frozen=True)
class Laptop:
    """`root` has the home and the runtime directory. `account` runs everything ("": we do)."""

    root: Path
    who: Person
    account: str = ""

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def runtime(self) -> Path:
        return self.root / "run"

    @property
    def gateway(self) -> Gateway:
        return self.who.gateway

    def environment(self, **more: str) -> list[str]:
        """The words to put before a command for a clean environment, in which `enc` uses our gateway and key."""
        fields = {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PATH": f"{bindir()}:{os.environ['PATH']}",
            "TERM": "dumb",
            "PS1": PROMPT,
            "ENC_HOST": "gateway",
            "ENC_SSH_CONFIG": str(self.who.gateway.ssh_config),
            "ENC_IDENTITY": str(self.who.key),
            **more,
        }
        drop = ["setpriv", "--reuid", self.account, "--regid", self.account, "--init-groups"] if self.account else []
        return [*drop, "env", "-i", *(f"{key}={value}" for key, value in fields.items() if value)]

    def enc(self, *words: str, stdin: str = "", **more: str) -> Result:
        """Run `enc WORDS` as from a script: what it mounts belongs to the pytest process."""
        return run([*self.environment(**more), "enc", *words], stdin)

    def mount(self, project: str, *words: str, **more: str) -> Path:
        """Run `enc mount` as from a script; return the mount point."""
        done = self.enc("mount", project, "--json", *words, stdin=PASSPHRASE + "\n", **more)
        assert done.status == 0, done
        return Path(str(done.json["directory"]))

    def terminal(self, **more: str) -> Terminal:
        """A shell in a new terminal, at its prompt."""
        opened = Terminal([*self.environment(**more), "bash", "--norc", "--noediting", "-i"])
        opened.expect(PROMPT)
        if self.account:  # as login(1) does it
            shutil.chown(os.readlink(f"/proc/{opened.pid}/fd/0"), self.account)
        return opened

    def mount_in(self, terminal: Terminal, project: str, *words: str) -> Path:
        """Type `enc mount` at a terminal; return the mount point."""
        terminal.send(" ".join(["enc", "mount", project, *words]) + "\n")
        terminal.expect(f"Passphrase of {project}: ")
        terminal.send(PASSPHRASE + "\n")
        terminal.expect(PROMPT)
        assert project in self.state.mounts, terminal.seen
        return Path(self.mounted(project).directory)

    @property
    def store(self) -> Store:
        """The state directory of the only gateway."""
        (directory,) = (self.runtime / "enc").iterdir()
        return Store(str(directory))

    @property
    def state(self) -> State:
        return self.store.read() if (self.runtime / "enc").exists() else State()

    def mounted(self, project: str) -> Mount:
        return self.state.mounts[project]

    def entries(self) -> list[MountEntry]:
        """The mounts below `root`."""
        return [entry for entry in linux.mount_table() if entry.path.startswith(str(self.root))]

    def processes(self) -> dict[int, str]:
        """The processes that `enc` left running: ssh, sshfs, watchdog, monitors. Their words name our directories."""
        lines = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
        rows = (line.split(None, 1) for line in lines.splitlines())
        return {int(pid): args for pid, args in rows if str(self.runtime) in args and int(pid) != os.getpid()}

    def signal(self, number: signal.Signals) -> None:
        """Send it to all of them. A probe or a question to ssh may end just before."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def views(self) -> list[str]:
        """The projects that this user has unlocked on the gateway."""
        own = [one for one in self.gateway.sessions() if one["fingerprint"] == self.who.fingerprint]
        return [str(view["project"]) for one in own for view in one["views"]]  # type: ignore[attr-defined]

    def is_clean(self) -> bool:
        """Whether no state, process, mount or view is left."""
        stores = [Store(str(path)) for path in (self.runtime / "enc").glob("*/")]
        empty = all(store.read()._replace(lost=()) == State() for store in stores)
        return empty and not self.processes() and not self.entries() and not self.views()

    def clean_up(self) -> None:
        """Remove what a failed test left."""
        self.enc("logout", "--all")
        self.signal(signal.SIGKILL)
        for pid in processes_of(self.account) if self.account else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for entry in reversed(self.entries()):
            subprocess.run(["umount", "-l", entry.path], capture_output=True, check=False)


@contextlib.contextmanager
def laptop(who: Person, account: str = "") -> Iterator[Laptop]:
    """A machine for `who`. It must be clean at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="enc-l-") as name:
        made = Laptop(Path(name), who, account)
        for path in (made.home, made.runtime):
            path.mkdir(mode=0o700)
        if account:
            subprocess.run(["chown", "-R", account, name], check=True)
        try:
            yield made
            made.enc("logout", "--all")
            eventually(made.is_clean, 15)
        finally:
            made.clean_up()


def processes_of(account: str) -> list[int]:
    """The processes of an account."""
    shown = subprocess.run(["ps", "-o", "pid=", "-u", account], capture_output=True, text=True, check=False)
    return [int(pid) for pid in shown.stdout.split()]


def kill(process: Process | None, number: signal.Signals = signal.SIGKILL) -> None:
    assert process
    os.kill(process.pid, number)


def shown(result: Result) -> dict[str, object]:
    """The object of --json, from a command that may have printed more before it."""
    value = json.loads(result.out.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def typed(terminal: Terminal, words: str) -> str:
    """Type a command in a laptop's terminal; what it printed until the next prompt."""
    terminal.send(f"{words}\n")
    terminal.expect("\n")
    return terminal.expect(PROMPT).removesuffix(PROMPT).replace("\r", "")
