"""A tree of small files over a line with a round trip of 20 ms: `enc push` and `enc pull` against `cp -r` through the
mount, and rsync by hand.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from bench import place
from bench.measure import Row, median, time_of
from tests.laptop import Laptop, laptop

FILES, DIRECTORIES, BYTES = 1000, 20, 2000
ROUNDS = 5
MOUNT_ROUNDS = 2
"""Each takes more than a minute."""
BUDGET = "0.10x"


def run() -> list[Row]:
    """Measure everything on one gateway, with the project mounted, so that nothing has to connect or unlock."""
    with place.gateway() as gateway:
        who = gateway.person("one")
        who.new("one")
        with laptop(who) as mine:
            config = place.delayed_config(mine, place.delay_words(gateway, place.ROUND_TRIP))
            source = _tree(mine.root / "source")
            at = mine.mount("one", ENC_SSH_CONFIG=str(config))
            rows = _rows(mine, config, source, at)
            mine.enc("logout", ENC_SSH_CONFIG=str(config))
            return rows


def _tree(source: Path) -> Path:
    for number in range(FILES):
        directory = source / f"d{number % DIRECTORIES}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(number.to_bytes(2, "big") * (BYTES // 2))
    return source


def _rows(mine: Laptop, config: Path, source: Path, at: Path) -> list[Row]:
    enc = [*mine.environment(ENC_SSH_CONFIG=str(config)), "enc"]
    ssh = shlex.join(["ssh", "-F", str(config), "-i", str(mine.who.key)])
    here = mine.root / "here"

    def there(number: int, name: str) -> str:
        return f"{name}{number}"

    def pulled(argv: Callable[[], list[str]]) -> float:
        shutil.rmtree(here, ignore_errors=True)
        return time_of(argv())

    copied_in = [time_of(["cp", "-r", str(source), str(at / there(n, "cp"))]) for n in range(MOUNT_ROUNDS)]
    pushed = [time_of([*enc, "push", str(source), f"one:{there(n, 'push')}"]) for n in range(ROUNDS)]
    again = [time_of([*enc, "push", str(source), f"one:{there(0, 'push')}"]) for _ in range(ROUNDS)]
    sent = [
        time_of(["rsync", "-a", "-e", ssh, f"{source}/", f"gateway:one/{there(n, 'hand')}/"]) for n in range(ROUNDS)
    ]
    copied_out = [pulled(lambda: ["cp", "-r", str(at / "push1"), str(here)]) for _ in range(MOUNT_ROUNDS)]
    came = [pulled(lambda: [*enc, "pull", "one:push0", str(here)]) for _ in range(ROUNDS)]
    fetched = [pulled(lambda: ["rsync", "-a", "-e", ssh, "gateway:one/push0/", f"{here}/"]) for _ in range(ROUNDS)]
    inside = [time_of([*enc, "cp", "-r", "one:push0", f"one:{there(n, 'in')}"]) for n in range(ROUNDS)]
    files = f"{FILES} files at {place.ROUND_TRIP} ms"
    return [
        _row(f"push {files}", pushed, copied_in, "cp -r to mount", BUDGET),
        _row(f"push {files}", pushed, sent, "rsync by hand, not compared", "-"),
        _row(f"push {files}, all there", again, pushed, "push", "-"),
        _row(f"pull {files}", came, copied_out, "cp -r from mount", BUDGET),
        _row(f"pull {files}", came, fetched, "rsync by hand, not compared", "-"),
        _row(f"cp -r {files}", inside, copied_in, "cp -r to mount", "-"),
    ]


def _row(what: str, taken: list[float], other: list[float], name: str, budget: str) -> Row:
    ours, theirs = median(taken), median(other)
    return Row(what, f"{ours:.2f} s", f"{theirs:.2f} s ({name})", f"{ours / theirs:.3f}x", budget)
