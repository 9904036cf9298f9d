"""`mount P` until it prints `unlocked`, against gocryptfs by hand until the first byte of a file can be read.

We print `unlocked` after gocryptfs reports that it serves, so this does not favour us. By hand means: the same
gocryptfs config (so the same scrypt), the same ciphertext and the same account, mounted through fusermount3.

By SSH key, the signature is made before the clock runs: it is the client's, and the challenge stays the same.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from bench import place
from bench.measure import Row, in_turns, median, ms
from gateway.vault.slots import challenge as challenges
from gateway.vault.slots import sshsig
from tests.harness import PASSPHRASE, Gateway, Person, eventually
from tests.life import connection
from tests.system.test_slots import add_key, by_key, challenge

ROUNDS = 20
PROJECT = "unlocked"
FILE = "known"


def run() -> list[Row]:
    """Unlock one project both ways in turns."""
    with place.gateway() as gateway:
        who = gateway.person("someone")
        who.new(PROJECT)
        _put_a_file(gateway, who)
        vault = next(gateway.vaults.glob(f"*/{PROJECT}"))
        mountpoint = gateway.root.parent / "by-hand"
        mountpoint.mkdir()
        os.chown(mountpoint, place.account(gateway).pw_uid, place.account(gateway).pw_gid)
        assert add_key(who, PROJECT).status == 0
        signature = by_key(who, PROJECT)
        passphrase, key = (vault / "slots" / f"{name}.conf" for name in ("passphrase", "key"))
        derived = _secret_of(signature, challenge(who, PROJECT))
        with connection(who) as options:
            kinds = {
                "ours": lambda: _ours(gateway, who, options, PASSPHRASE + "\n"),
                "by hand": lambda: _in_account(gateway, vault, mountpoint, passphrase, PASSPHRASE),
                "by key": lambda: _ours(gateway, who, options, signature),
                "by hand, key": lambda: _in_account(gateway, vault, mountpoint, key, derived),
            }
            taken = in_turns(ROUNDS, kinds)
    rows = []
    for name, ours, other, budget in [
        ("mount to first byte, shared connection", "ours", "by hand", "120 ms"),
        ("the same by SSH key", "by key", "by hand, key", "60 ms"),
    ]:
        mine, by_hand = median(taken[ours]), median(taken[other])
        reference = f"{ms(by_hand)} (gocryptfs by hand)"
        rows.append(Row(name, ms(mine), reference, f"{ms(mine - by_hand)} more", budget))
    return rows


def _secret_of(signature: str, text: str) -> str:
    asked = challenges.parse(text.encode().removesuffix(b"\n").split(b"\n"))
    signed = sshsig.parse(signature.encode())
    return challenges.secret(asked, signed.raw, signed.public_key).decode()


def _put_a_file(gateway: Gateway, who: Person) -> None:
    source = gateway.root.parent / FILE
    source.write_text("content\n")
    with who.mounted(PROJECT):
        assert who.sftp(f"cd {PROJECT}", f"put {source}").status == 0
    eventually(lambda: not gateway.leftovers())


def _ours(gateway: Gateway, who: Person, options: tuple[str, ...], stdin: str) -> float:
    began = time.perf_counter()
    held = who.hold("mount", PROJECT, stdin=stdin, extra=options)
    held.read_until("unlocked")
    taken = time.perf_counter() - began
    held.end()
    eventually(lambda: not gateway.leftovers())
    return taken


def _in_account(gateway: Gateway, vault: Path, mountpoint: Path, config: Path, secret: str) -> float:
    """Run `_by_hand` in a child as the gateway's account: no other account may read its FUSE mount."""
    account = place.account(gateway)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
                os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
            os.write(writer, str(_by_hand(vault, mountpoint, config, secret)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    assert os.waitpid(child, 0)[1] == 0, "gocryptfs by hand failed"
    return float(said)


def _by_hand(vault: Path, mountpoint: Path, config: Path, secret: str) -> float:
    argv = ["gocryptfs", "-fg", "-q", "-nosyslog", "-config", str(config), str(vault / "cipher"), str(mountpoint)]
    # It ends by unmounting: a signal that reaches gocryptfs as it starts to serve can hang it for good.
    null = subprocess.DEVNULL
    began = time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=null, stderr=null) as serving:
        assert serving.stdin is not None
        serving.stdin.write(secret.encode() + b"\n")
        serving.stdin.close()
        try:
            while not _first_byte(mountpoint / FILE):
                assert serving.poll() is None
                time.sleep(0.0005)
            return time.perf_counter() - began
        finally:
            eventually(
                lambda: subprocess.run(["fusermount3", "-q", "-u", str(mountpoint)], check=False).returncode == 0
            )


def _first_byte(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1)
    except FileNotFoundError:
        return b""
