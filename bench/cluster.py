"""Two gateways on one real CephFS (tests/cluster/rig.py): how long a project is out of reach when its host dies, and
what the shared file system costs against a gateway that has its vaults on the local ext4.

It runs where script/test-cluster runs its tests; script/bench sees to that.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import time
from collections.abc import Callable

from bench.measure import Row, in_turns, median, ms
from tests.cluster.rig import PLACE, TAKEOVER, Rig, cluster
from tests.harness import PASSPHRASE, Gateway, Person, eventually
from tests.running import UnlockedProject, unlocked_project_of

DEATHS = 20
ROUNDS = 5
FILES, BYTES = 300, 4000
PROJECT = "bench"
GIT = "rm -rf .git && git init -q && git add -A && git -c user.name=a -c user.email=b commit -qm c"


def run() -> list[Row]:
    if not os.environ.get("ENC_CLUSTER_MACHINE"):
        print("cluster: skipped, it needs the machine of script/test-cluster", file=sys.stderr)
        return []
    with cluster() as rig:
        return [*_costs(rig), *_takeovers(rig)]


def _takeovers(rig: Rig) -> list[Row]:
    """From the death of everything on a host until `mount` on the other one prints `unlocked`."""
    who = rig.person()
    who.new(PROJECT)
    taken, late = [], 0
    for _ in range(DEATHS):
        with rig.unlocked(rig.at(who, "gw1"), PROJECT, 2 * TAKEOVER):
            rig.hosts["gw1"].kill()
            began = time.perf_counter()
            try:
                with rig.unlocked(rig.at(who, "gw2"), PROJECT, 2 * TAKEOVER):
                    taken.append(time.perf_counter() - began)
                    print(f"cluster: taken over after {taken[-1]:.1f} s", file=sys.stderr)
            except AssertionError as error:
                late += 1
                print(f"cluster: not taken over: {error}", file=sys.stderr)
        rig.repair()
    what = f"a host dies, until the other has its project, {DEATHS} deaths"
    worst = f"worst {max(taken):.1f} s, {late} not within {2 * TAKEOVER:.0f} s"
    return [Row(what, f"{median(taken):.1f} s", "", worst, f"{TAKEOVER:.0f} s")]


def _costs(rig: Rig) -> list[Row]:
    there = rig.person()
    alone = Gateway(PLACE / "alone", {"audit.syslog": ""}).start()
    try:
        here = alone.person("local")
        with unlocked_project_of(there, PROJECT) as shared, unlocked_project_of(here, PROJECT) as local:
            archive = _archive()
            rows = [
                _row(f"untar of {FILES} files of {BYTES} bytes", shared, local, lambda at: _untar(at, archive)),
                _row("git init, add and commit of them", shared, local, _git),
            ]
        eventually(lambda: not rig.gateways["gw1"].sessions() and not alone.leftovers())
        taken = in_turns(ROUNDS, {"there": lambda: _mount(there), "here": lambda: _mount(here)})
        return [*rows, _compared("mount, new connection", taken["there"], taken["here"])]
    finally:
        alone.stop()


def _row(what: str, shared: UnlockedProject, local: UnlockedProject, act: Callable[[UnlockedProject], float]) -> Row:
    taken = in_turns(ROUNDS, {"there": lambda: act(shared), "here": lambda: act(local)})
    return _compared(what, taken["there"], taken["here"])


def _compared(what: str, there: list[float], here: list[float]) -> Row:
    on_store, on_disk = median(there), median(here)
    return Row(f"on CephFS: {what}", ms(on_store), f"{ms(on_disk)} (ext4)", f"{on_store / on_disk:.1f}x", "")


def _archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for number in range(FILES):
            about = tarfile.TarInfo(f"d{number % 10}/f{number}")
            about.size = BYTES
            tar.addfile(about, io.BytesIO(number.to_bytes(2, "big") * (BYTES // 2)))
    return made.getvalue()


def _untar(at: UnlockedProject, archive: bytes) -> float:
    at.sh("rm -rf d*")
    began = time.perf_counter()
    assert at.run("tar", "xf", "-", stdin=archive, timeout=120).status == 0
    return time.perf_counter() - began


def _git(at: UnlockedProject) -> float:
    began = time.perf_counter()
    assert at.run("sh", "-c", GIT, timeout=120).status == 0
    return time.perf_counter() - began


def _mount(who: Person) -> float:
    began = time.perf_counter()
    held = who.hold("mount", PROJECT, stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    taken = time.perf_counter() - began
    held.end()
    eventually(lambda: not who.gateway.sessions())
    return taken
