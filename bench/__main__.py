"""`python -m bench [NAME...]`: run these benches, or all but those of `BY_NAME`, and print one table."""

from __future__ import annotations

import sys

from bench import (
    client,
    cluster,
    commands,
    drop,
    following,
    line,
    machine,
    many,
    members,
    memory,
    push,
    rekey,
    tracking,
    unlock,
    workspace,
)
from bench.measure import Row, table

BENCHES = {
    "commands": commands.run,
    "unlock": unlock.run,
    "members": members.run,
    "drop": drop.run,
    "rekey": rekey.run,
    "memory": memory.run,
    "many": many.run,
    "tracking": tracking.run,
    "following": following.run,
    "client": client.run,
    "workspace": workspace.run,
    "line": line.run,
    "push": push.run,
    "cluster": cluster.run,
}
BY_NAME = {"many", "cluster"}
"""Run only when they are named."""


def main(names: list[str]) -> int:
    """Run them and return 0; 64 for an unknown name."""
    if unknown := set(names) - set(BENCHES):
        print(f"bench: no bench {min(unknown)}; choose from {', '.join(BENCHES)}", file=sys.stderr)
        return 64
    print(machine.describe(), flush=True)
    rows: list[Row] = []
    for name in names or (name for name in BENCHES if name not in BY_NAME):
        print(f"bench: {name}", file=sys.stderr)
        rows += BENCHES[name]()
    print(f"\n{table(rows)}")
    return 0


sys.exit(main(sys.argv[1:]))
