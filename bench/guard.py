"""`python -m bench.guard [ROUNDS]`: what the guard against wrong hard links costs, on gocryptfs alone. Not in CI.

Four mounts in turns: as it is, again as it is (the noise), with the filter of gateway/vault/link_guard.py, and with
-sharedstorage, which cures the defect as well. Without a guard `git clone` fails, so there it is told to copy; with the
guard it finds out. Each task is done ROUNDS times on each. The table has medians of the ratios to the first within a
round.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import machine
from gateway.vault import gocryptfs, link_guard
from tests.conditions import eventually

FILES = 1000
VARIANTS = ("as it is", "again", "guarded", "sharedstorage")
_GIT = "git -c user.name=a -c user.email=b@c -c gc.auto=0"
TASKS = {
    f"untar, {FILES} files": "rm -rf t; mkdir t; cd t; tar -xf $0/t.tar",
    "ls -lR": "ls -lR t >/dev/null",
    "git add": "cd t; rm -rf .git; git init -q; git add .",
    "git commit": f"cd t; {_GIT} commit -qm x",
    "git status": "cd t; git status >/dev/null",
    "git clone": "rm -rf c; git clone -q $1 $PWD/t c",
    "rm -r": "rm -rf c t",
}


def _guard() -> None:
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    link_guard.install()


@contextlib.contextmanager
def mounted(place: Path, variant: str) -> Iterator[Path]:
    home = place / variant.replace(" ", "-")
    cipher, view = home / "cipher", home / "view"
    cipher.mkdir(parents=True)
    view.mkdir()
    (home / "secret").write_text("x")
    words = [gocryptfs.PROGRAM, "-q", "-nosyslog", "-passfile", str(home / "secret")]
    subprocess.run([*words, "-init", "-scryptn", "10", str(cipher)], check=True)
    more = ["-sharedstorage"] if variant == "sharedstorage" else []
    guard = _guard if variant == "guarded" else None
    # the mount is made by a helper that needs setuid, which the filter's no_new_privs denies to all but root
    process = subprocess.Popen([*words, *more, "-fg", str(cipher), str(view)], preexec_fn=guard)
    try:
        eventually(lambda: os.path.ismount(view))
        yield view
    finally:
        subprocess.run(["fusermount3", "-uz", str(view)], check=True)
        process.wait()


def main(rounds: int) -> None:
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="enc-guard-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        source = place / "source"
        for at in range(FILES):
            (source / f"d{at % 50}").mkdir(parents=True, exist_ok=True)
            (source / f"d{at % 50}" / f"f{at}.c").write_bytes(os.urandom(1500) * (1 + at % 4))
        subprocess.run(["tar", "-C", str(source), "-cf", str(place / "t.tar"), "."], check=True)
        views = {variant: stack.enter_context(mounted(place, variant)) for variant in VARIANTS}
        took: dict[str, dict[str, list[float]]] = {task: {one: [] for one in VARIANTS} for task in TASKS}
        for number in range(rounds):
            order = VARIANTS[number % 4 :] + VARIANTS[: number % 4]
            for task, script in TASKS.items():
                for variant in order:
                    copy = "--no-hardlinks" if variant in VARIANTS[:2] else "--"
                    began = time.monotonic()
                    subprocess.run(["sh", "-euc", script, str(place), copy], cwd=views[variant], check=True)
                    took[task][variant].append(time.monotonic() - began)
    print(f"\n| {rounds} rounds | seconds | {' | '.join(VARIANTS[1:])} |\n| --- | --- | --- | --- | --- |")
    for task, times in took.items():
        base = times[VARIANTS[0]]
        ratios = [
            statistics.median(one / other for one, other in zip(times[variant], base, strict=True))
            for variant in VARIANTS[1:]
        ]
        print(f"| {task} | {statistics.median(base):.2f} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
