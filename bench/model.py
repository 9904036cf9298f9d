"""`python -m bench.model SECONDS [SEED]`: the model test of files (tests/model.py) for as long as one likes. Not in CI.

Half of the time through `run` and half through `enc mount`. Hypothesis chooses other steps for each seed. It prints how
many steps were compared; a difference ends it with the steps that led to it.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from bench import machine as host
from tests.harness import Gateway
from tests.laptop import laptop
from tests.model import Here, Knows, machine
from tests.places import MOUNT, VIEW, beside, in_mount, in_view

LONG = settings(
    max_examples=20,
    stateful_step_count=100,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def compare(ours: Here, theirs: Here, knows: Knows, until: float, chooser: random.Random) -> None:
    """Until the time (monotonic) is over. Raises AssertionError for a difference."""
    began = time.monotonic()
    while time.monotonic() < until:
        made = machine(ours, theirs, knows)
        run_state_machine_as_test(seed(chooser.randrange(1 << 32))(made), settings=LONG)
    print(f"{ours.steps} steps in {time.monotonic() - began:.0f} s, no difference", flush=True)


def main(seconds: float, chosen: int) -> None:
    print(f"{host.describe()}\nseed       {chosen}", flush=True)
    chooser = random.Random(chosen)
    with tempfile.TemporaryDirectory(prefix="enc-model-") as name:
        place = Path(name)
        place.chmod(0o755)
        gateway = Gateway(place / "gw", as_shipped=True).start()
        try:
            who = gateway.person("model")
            who.new("files")
            with beside(gateway, place / "host") as theirs, in_view(who, "files") as ours:
                print("run:       ", end="", flush=True)
                compare(ours, theirs, VIEW, time.monotonic() + seconds / 2, chooser)
            other = gateway.person("other")
            other.new("files")
            with laptop(other) as mine, in_mount(mine, place / "own") as (ours, theirs):
                print("enc mount: ", end="", flush=True)
                compare(ours, theirs, MOUNT, time.monotonic() + seconds / 2, chooser)
        finally:
            gateway.stop()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32))
