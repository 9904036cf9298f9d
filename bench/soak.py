"""`python -m bench.soak MINUTES [SEED]`: several people use one gateway for a while, and a report. Not in CI.

They unlock, copy by sftp and rsync, and end their sessions in eight ways, in a random order that the seed fixes. After
the next unlock, the files whose copy succeeded are compared. The report has: sessions, locks by reason, the longest
lock, what is left behind (must be nothing), and gocryptfs -fsck of every vault.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench import machine
from tests.harness import PASSPHRASE, Gateway, Held, Person, bindir, eventually, run

PEOPLE = 4
IDLE = 4
ENDS = ("unmount", "logout", "kill client", "idle", "revoke", "enc-gateway kill", "kill gocryptfs", "kill warden")
_keys = threading.Lock()


class Somebody:
    """One person, with session after session until the time is over."""

    def __init__(self, gateway: Gateway, number: int, seed: int, place: Path) -> None:
        self.gateway = gateway
        self.random = random.Random(seed * 1000 + number)
        self.who: Person = gateway.person(f"soak{number}")
        self.line = gateway.authorized_keys.read_text().splitlines()[-1]
        self.place = place / f"files{number}"
        self.place.mkdir()
        self.acknowledged: dict[str, bytes] = {}
        self.sessions = 0
        self.ends: collections.Counter[str] = collections.Counter()
        self.troubles: list[str] = []
        self.who.new("work")

    def live(self, until: float) -> None:
        while time.monotonic() < until:
            held = self.who.hold("mount", "work", stdin=PASSPHRASE + "\n")
            try:
                held.read_until("unlocked")
                self.sessions += 1
                self._compare()
                for _ in range(self.random.randrange(4)):
                    self._copy()
                self._end(held)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                self.troubles.append(f"{self.who.name}, session {self.sessions}: {str(error)[:300]}")
            finally:
                held.end()
            self._wait_for_the_end()

    def _copy(self) -> None:
        name = f"f{self.random.randrange(20)}"
        content = self.random.randbytes(self.random.choice((1, 5000, 300_000)))
        (self.place / name).write_bytes(content)
        self.acknowledged.pop(name, None)
        if self.random.random() < 0.5:
            result = self.who.sftp(f"put {self.place / name} work/{name}")
        else:
            result = self.who.copy("rsync", "--ignore-times", str(self.place / name), f"gateway:work/{name}")
        if result.status == 0:
            self.acknowledged[name] = content
        else:
            self.troubles.append(f"{self.who.name}: {result}")

    def _compare(self) -> None:
        for name in self.random.sample(sorted(self.acknowledged), min(3, len(self.acknowledged))):
            back = self.place / "back"
            result = self.who.sftp(f"get work/{name} {back}")
            if result.status or back.read_bytes() != self.acknowledged[name]:
                self.troubles.append(f"{self.who.name}: {name} is not what was acknowledged: {result}")

    def _end(self, held: Held) -> None:
        way = self.random.choice(ENDS)
        self.ends[way] += 1
        if way == "unmount":
            assert self.who.ssh("unmount", "work").status == 0
        elif way == "logout":
            assert self.who.ssh("logout", "--all").status == 0
        elif way == "kill client":
            held.kill()
        elif way == "idle":
            held.wait(IDLE + 10)
        elif way == "revoke":
            self._revoke(held)
        elif way == "enc-gateway kill":
            settings = ["--config", str(self.gateway.root / "gateway.toml")]
            words = [str(bindir() / "enc-gateway"), "sessions", *settings, "kill", "--principal", self.who.fingerprint]
            assert run(words).status == 0
        else:
            self._kill("/usr/bin/gocryptfs" if way == "kill gocryptfs" else "gateway/warden")

    def _revoke(self, held: Held) -> None:
        file = self.gateway.authorized_keys
        with _keys:
            staged = file.with_suffix(".new")  # as an editor does: no login may read half a file
            staged.write_text("".join(f"{line}\n" for line in file.read_text().splitlines() if line != self.line))
            staged.rename(file)
        try:
            held.wait(10)
        finally:
            with _keys, file.open("a") as again:
                again.write(self.line + "\n")

    def _kill(self, sign: str) -> None:
        """One of our own session's processes: below the sshd that serves us."""
        connections = self.gateway.events("unlocked", fingerprint=self.who.fingerprint)
        session = str(connections[-1]["session"])
        for pid, args in self.gateway.session_processes().items():
            if sign in args and _is_in(pid, session):
                os.kill(pid, signal.SIGKILL)
                return

    def _wait_for_the_end(self) -> None:
        eventually(lambda: self.who.ssh("status").out.startswith("no sessions"))


def _is_in(pid: int, session: str) -> bool:
    """Whether the process belongs to that session, whose directory is mounted in its namespace."""
    try:
        return session in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return False


def fsck(gateway: Gateway) -> list[str]:
    """Check every vault by stock gocryptfs; return the exit statuses."""
    results = []
    for vault in sorted(gateway.vaults.glob("*/work")):
        words = ["gocryptfs", "-fsck", "-q", "-nosyslog", "-config", str(vault / "slots/passphrase.conf")]
        results.append(f"{run([*words, str(vault / 'cipher')], PASSPHRASE, 300).status}")
    return results


def main(minutes: float, seed: int) -> int:
    """Run the soak; return 1 if something is left behind or went wrong."""
    with tempfile.TemporaryDirectory(prefix="enc-soak-") as name:
        place = Path(name)
        place.chmod(0o755)
        gateway = Gateway(
            place / "gw", {"idle.view": str(IDLE), "idle.session": str(IDLE + 1)}, as_shipped=True
        ).start()
        try:
            people = [Somebody(gateway, number, seed, place) for number in range(PEOPLE)]
            until = time.monotonic() + 60 * minutes
            threads = [threading.Thread(target=one.live, args=(until,)) for one in people]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return _report(gateway, people, minutes, seed)
        finally:
            gateway.stop()


def _report(gateway: Gateway, people: list[Somebody], minutes: float, seed: int) -> int:
    deadline = time.monotonic() + 10
    while (left := gateway.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.1)
    locks = gateway.events("locked")
    reasons = collections.Counter(str(record["reason"]) for record in locks)
    longest = max(locks, key=lambda record: int(str(record["took_ms"])))
    troubles = [*(trouble for one in people for trouble in one.troubles), *map(str, gateway.events("fault"))]
    troubles += [str(record) for record in gateway.events("lock-incomplete")]
    checked = fsck(gateway)
    print(machine.describe())
    print(f"minutes    {minutes:g}, seed {seed}, {PEOPLE} people")
    print(f"sessions   {sum(one.sessions for one in people)}")
    print(f"ended by   {dict(sum((one.ends for one in people), collections.Counter()))}")
    print(f"locks      {dict(reasons)}, forced {sum(bool(record['forced']) for record in locks)}")
    print(f"longest    {longest['took_ms']} ms ({longest['reason']}, forced {longest['forced']})")
    print(f"leftovers  {len(left)} {left or ''}")
    print(f"fsck       {' '.join(checked)}")
    print(f"troubles   {len(troubles)}", *troubles, sep="\n           ")
    return 1 if left or troubles or set(checked) != {"0"} else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
