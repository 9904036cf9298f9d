"""How long a view outlives its client: from `kill -9` of ssh until gocryptfs, warden and bubblewrap have ended."""

from __future__ import annotations

from bench import place
from bench.measure import Row, median, ms, until_gone
from tests.harness import PASSPHRASE, eventually

ROUNDS = 20


def run() -> list[Row]:
    """Unlock one project over a new connection and kill the client, again and again."""
    view, everything = [], []
    with place.gateway() as gateway:
        who = gateway.person("someone")
        who.new("dropped")
        for turn in range(2 * ROUNDS):
            held = who.hold("mount", "dropped", stdin=PASSPHRASE + "\n")
            held.read_until("unlocked")
            pids = place.session_pids(gateway)
            if turn % 2:
                everything.append(until_gone(pids, held.kill))
            else:
                view.append(until_gone([pid for pid, what in pids.items() if what == "gocryptfs"], held.kill))
            held.end()
            eventually(lambda: not gateway.leftovers())
    return [
        _row("view gone after kill -9 of the client", view),
        _row("the whole session gone after the same", everything),
    ]


def _row(what: str, seconds: list[float]) -> Row:
    measured = f"median {ms(median(seconds))}"
    return Row(what, measured, "-", f"{measured}, worst {ms(max(seconds))}", "median 100 ms, worst 1 s")
