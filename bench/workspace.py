"""A command in a workspace by stock ssh, through `enc`, and the memory of a workspace that waits."""

from __future__ import annotations

import functools
import time

from bench import place
from bench.measure import Row, in_turns, may_run_as_root, median, ms, pss, time_of
from tests.harness import Gateway
from tests.laptop import Laptop, laptop
from tests.life import connection

ROUNDS = 20
SETTLE_SECONDS = 3.0


def run() -> list[Row]:
    with place.gateway() as gateway:
        who = gateway.person("ida")
        who.new("p")
        with laptop(who) as mine:
            mine.mount("p")
            assert mine.enc("ssh-config", "p").status == 0
            config = str(mine.home / ".ssh" / "config")
            inside = [*mine.environment(), "ssh", "-F", config, "enc-p", "true"]
            cold = _cold(mine, inside)
            shared = [*mine.environment(), "enc", "run", "p", "--", "true"]
            with connection(who) as options:
                stock = who.argv("run", "p", "--", "true", extra=options)
                kinds = {"ssh": inside, "enc run": shared, "run": stock}
                taken = in_turns(ROUNDS, {name: functools.partial(time_of, argv) for name, argv in kinds.items()})
            rows = [_row("`ssh enc-p true`, warm", median(taken["ssh"]), taken)]
            rows.append(_row("`ssh enc-p true`, which begins the workspace", median(cold), taken))
            rows += _memory(gateway)
            mine.enc("logout", "--all")
    return rows


def _cold(mine: Laptop, inside: list[str]) -> list[float]:
    taken = []
    for _ in range(ROUNDS // 4):
        assert mine.enc("unmount", "p").status == 0
        mine.mount("p")
        taken.append(time_of(inside))
    return taken


def _row(what: str, seconds: float, taken: dict[str, list[float]]) -> Row:
    enc_run, stock = median(taken["enc run"]), median(taken["run"])
    reference = f"{ms(stock)} (`ssh gateway run p -- true`, shared), {ms(enc_run)} (`enc run`)"
    return Row(what, ms(seconds), reference, f"{seconds / stock:.2f}x", "-")


def _memory(gateway: Gateway) -> list[Row]:
    """Of what is there for an idle workspace: bubblewrap and our program, without a channel."""
    if not may_run_as_root("the memory of a workspace"):
        return []
    time.sleep(SETTLE_SECONDS)
    pids = [pid for pid, args in gateway.processes().items() if "/workspace.py" in args]
    parts = ", ".join(f"{pss(pid):.1f}" for pid in pids)
    return [Row("PSS of an idle workspace", parts, "-", f"{sum(map(pss, pids)):.1f} MiB", "-")]
