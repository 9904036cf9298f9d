"""`rekey P` with 10,000 small files, against a plain copy of them by hand: from view to view, with rsync.

By hand means: the same account, both views mounted by gocryptfs, unmounted when rsync is done; nothing is compared.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from bench import place
from bench.measure import Row, in_turns, median
from tests import trees
from tests.harness import PASSPHRASE, Gateway, Person

ROUNDS = 3
FILES = 10_000
PROJECT = "rekeyed"
_BY_HAND = r"""
set -e; cd "$1"; read -r secret
mkdir cipher old new
echo "$secret" | gocryptfs -init -q -nosyslog -config conf cipher
echo "$secret" | gocryptfs -q -nosyslog -ro -config "$2/slots/passphrase.conf" "$2/cipher" old
echo "$secret" | gocryptfs -q -nosyslog -config conf cipher new
rsync -aHXS old/ new/
sync -f cipher
fusermount3 -u old; fusermount3 -u new
"""


def run() -> list[Row]:
    """Both in turns; each rekey is of what the one before has made."""
    with place.gateway() as gateway:
        who = gateway.person("someone")
        who.new(PROJECT)
        trees.make(gateway, who.vault(PROJECT), trees.MANY, str(FILES))
        kinds = {"ours": lambda: _ours(who), "by hand": lambda: _by_hand(gateway, who.vault(PROJECT))}
        taken = in_turns(ROUNDS, kinds)
    ours, by_hand = median(taken["ours"]), median(taken["by hand"])
    reference = f"{by_hand:.1f} s (rsync by hand)"
    what = f"rekey of {FILES:,} files of 1,500 bytes"
    return [Row(what, f"{ours:.1f} s", reference, f"{ours / by_hand:.2f} times", "2 times")]


def _ours(who: Person) -> float:
    began = time.perf_counter()
    done = who.ssh("rekey", PROJECT, stdin=PASSPHRASE + "\n", timeout=300)
    taken = time.perf_counter() - began
    assert done.status == 0, done
    assert who.ssh("trash", "empty", PROJECT, "--yes", timeout=300).status == 0
    return taken


def _by_hand(gateway: Gateway, vault: Path) -> float:
    at = gateway.root.parent / "by-hand"
    at.mkdir()
    account = place.account(gateway)
    os.chown(at, account.pw_uid, account.pw_gid)
    began = time.perf_counter()
    done = gateway.as_account("sh", "-c", _BY_HAND, "sh", str(at), str(vault), stdin=PASSPHRASE + "\n", timeout=300)
    taken = time.perf_counter() - began
    assert done.status == 0, done
    shutil.rmtree(at)
    return taken
