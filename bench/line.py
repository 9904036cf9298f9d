"""Over a line with a round trip of 20 ms: `enc mount` and `ssh enc-P true`, against ssh and sshfs by hand."""

from __future__ import annotations

import functools
import subprocess
import time
from pathlib import Path

from bench import place
from bench.measure import Row, in_turns, median, time_of
from tests.harness import PASSPHRASE
from tests.laptop import Laptop, laptop

ROUNDS = 7


def run() -> list[Row]:
    with place.gateway() as gateway:
        who = gateway.person("one")
        who.new("one")
        with laptop(who) as mine:
            words = place.delay_words(gateway, place.ROUND_TRIP)
            config = place.delayed_config(mine, words)
            mounted = in_turns(
                ROUNDS,
                {"enc": lambda: _by_enc(mine, config), "hand": lambda: _by_hand(mine, words)},
            )
            entered = _workspace(mine, config, words)
    at = f"at {place.ROUND_TRIP} ms"
    ours, theirs = median(mounted["enc"]), median(mounted["hand"])
    return [
        Row(f"enc mount, first, {at}", f"{ours:.2f} s", f"{theirs:.2f} s (ssh, sshfs)", f"{ours / theirs:.2f}x", "-"),
        _entry(at, entered, "new", "ssh run, new connection"),
        _entry(at, entered, "shared", "ssh run, shared connection"),
    ]


def _entry(at: str, entered: dict[str, list[float]], name: str, words: str) -> Row:
    ours, theirs = median(entered["workspace"]), median(entered[name])
    return Row(f"ssh enc-one true, {at}", f"{ours:.2f} s", f"{theirs:.2f} s ({words})", f"{ours / theirs:.2f}x", "-")


def _by_enc(mine: Laptop, config: Path) -> float:
    """From nothing until the project is mounted."""
    began = time.perf_counter()
    mine.mount("one", ENC_SSH_CONFIG=str(config))
    taken = time.perf_counter() - began
    assert mine.enc("logout", ENC_SSH_CONFIG=str(config)).status == 0
    return taken


def _by_hand(mine: Laptop, words: str) -> float:
    """The same: a connection that unlocks it, and sshfs over that."""
    socket, at = mine.root / "by-hand.sock", mine.root / "by-hand"
    at.mkdir(exist_ok=True)
    line = ("-o", f"ProxyCommand={words}", "-o", f"ControlPath={socket}")
    began = time.perf_counter()
    held = mine.who.hold("mount", "one", stdin=PASSPHRASE + "\n", extra=(*line, "-o", "ControlMaster=yes"))
    held.read_until("unlocked")
    options = [word for word in mine.who.options if word != "-i"]
    at_gateway = ["sshfs", *options[:2], "-o", f"IdentityFile={mine.who.key}", *line, "gateway:one", str(at)]
    subprocess.run(at_gateway, check=True)
    taken = time.perf_counter() - began
    subprocess.run(["fusermount3", "-u", str(at)], check=True)
    held.end()
    return taken


def _workspace(mine: Laptop, config: Path, words: str) -> dict[str, list[float]]:
    mine.mount("one", ENC_SSH_CONFIG=str(config))
    assert mine.enc("ssh-config", "one", ENC_SSH_CONFIG=str(config)).status == 0
    inside = [*mine.environment(ENC_SSH_CONFIG=str(config)), "ssh", "-F", str(mine.home / ".ssh" / "config")]
    line = ("-o", f"ProxyCommand={words}")
    socket = mine.root / "shared.sock"
    master = mine.who.hold(extra=(*line, "-o", f"ControlPath={socket}", "-M", "-N"))
    while not socket.exists():
        time.sleep(0.05)
    kinds = {
        "workspace": [*inside, "enc-one", "true"],
        "new": mine.who.argv("run", "one", "--", "true", extra=line),
        "shared": mine.who.argv("run", "one", "--", "true", extra=("-o", f"ControlPath={socket}")),
    }
    try:
        return in_turns(ROUNDS, {name: functools.partial(time_of, argv) for name, argv in kinds.items()})
    finally:
        master.end()
        mine.enc("logout", ENC_SSH_CONFIG=str(config))
