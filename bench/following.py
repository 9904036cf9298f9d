"""What I/O tracking costs the user: `git status` and a build inside a session, with tracking on and off.

Off is a gateway on a host that has no inotify instance left: it only reads gocryptfs's I/O counters each second. The
two take turns in one run. Needs root to make such a host.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Row, in_turns, may_run_as_root, median
from tests.harness import Gateway, Held, Person

FILES = 2_000
ROUNDS = 12
_OFF = "echo 0 >/proc/sys/user/max_inotify_instances"
_TREE = f"""
set -e
for number in $(seq {FILES}); do
    directory=src/$((number / 50))
    mkdir -p $directory
    echo "value = [$number] * 100; text = repr(value)" >$directory/module$number.py
done
git init -q . && git add -A && git -c user.name=a -c user.email=a@example.org commit -q -m tree
"""
_STATUS = "for turn in $(seq 20); do git status --porcelain; done"
_BUILD = "python3 -m compileall -q -f src"


def run(rounds: int = ROUNDS) -> list[Row]:
    """Measure both kinds of work on both gateways."""
    if not may_run_as_root("following"):
        return []
    with tempfile.TemporaryDirectory(prefix="enc-bench-") as name, contextlib.ExitStack() as gateways:
        place = Path(name)
        place.chmod(0o755)
        people = {
            kind: gateways.enter_context(_at_work(place / kind, host)) for kind, host in (("on", ""), ("off", _OFF))
        }
        rows = []
        for what, command in (("20 times git status", _STATUS), ("build", _BUILD)):
            works = {kind: lambda who=who, command=command: _timed(who, command) for kind, who in people.items()}
            taken = in_turns(rounds, works)
            on, off = median(taken["on"]), median(taken["off"])
            title = f"{what} of {FILES} files in a session, tracking on against off"
            rows.append(Row(title, f"{on:.3f} s", f"{off:.3f} s", f"{on / off:.3f}x", "1.02x"))
        return rows


@contextlib.contextmanager
def _at_work(place: Path, host: str) -> Iterator[Person]:
    """A person with the tree in an unlocked project, on a gateway of such a `host` (`changed_host`)."""
    place.mkdir()
    gateway = Gateway(place / "gw", {"idle.view": "36000", "idle.session": "36000"}, host, as_shipped=True).start()
    try:
        who = gateway.person("busy")
        who.new("tree")
        with who.mounted("tree") as held:
            _inside(who, _TREE)
            yield who
            assert isinstance(held, Held) and held.process.poll() is None
    finally:
        gateway.stop()


def _inside(who: Person, script: str) -> str:
    done = who.ssh("run", "tree", "--", "bash", "-s", stdin=script, timeout=600)
    assert done.status == 0, done
    return done.out


def _timed(who: Person, command: str) -> float:
    """Seconds by the shell's `time`, which counts neither ssh nor the start of the sandbox."""
    return float(_inside(who, f"TIMEFORMAT=%R; {{ time {command} >/dev/null; }} 2>&1").split()[-1])
