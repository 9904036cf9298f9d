"""docs/recovery.md does what it says: its own commands, in order, with stock gocryptfs and no gateway."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.harness import PASSPHRASE, Gateway, bindir, run
from tests.system.test_slots import add_key, code_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recovery.md"
LINES = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    ")]


def test_the_page_s_commands_open_a_project_from_a_backup(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    gateway = make_gateway()
    who = gateway.person("dev1", "dev1")
    who.new("myproj")
    code = code_of(who.ssh("slot", "add", "myproj", "recovery", stdin=PASSPHRASE + "\n"))
    assert add_key(who, "myproj").status == 0
    with who.mounted("myproj"):
        assert who.sftp("mkdir myproj/src", f"put {PAGE} myproj/src/page").status == 0
        script = (
            "cd src; touch -d @1234567890.123456789 page; head -c 200 page >closed; chmod 0 closed; truncate -s 1G hole"
        )
        assert who.ssh("run", "myproj", "--", "sh", "-c", f"'{script}'").status == 0
    gateway.stop()
    settings = ["--config", str(gateway.root / "gateway.toml")]
    made = run([str(bindir() / "enc-gateway"), "backup", str(ground / "backup"), *settings])
    assert made.status == 0, made
    work = ground / "work"
    work.mkdir()
    script = "\n".join(LINES).replace("/backup/", f"{ground}/backup/").replace("~/.ssh/id_ed25519", str(who.key))
    assert script.count("gocryptfs -") == 4 and script.count("-passfile") == 1
    try:
        done = run(["sh", "-euc", f"cd {work}\n{script}"], stdin=f"{PASSPHRASE}\n{PASSPHRASE}\n{code}\n")
        assert done.status == 0 and (done.out + done.err).count("no problems found") == 3, done
        assert (work / "rescued" / "src" / "page").read_bytes() == PAGE.read_bytes()
        assert (work / "rescued" / "src" / "page").stat().st_mtime_ns == 1234567890_123456789
        assert (work / "rescued" / "src" / "closed").stat().st_mode & 0o7777 == 0
        assert (work / "rescued" / "src" / "hole").stat().st_size == 1 << 30
        assert sum(path.lstat().st_blocks * 512 for path in (work / "myproj").rglob("*")) < 1 << 20, "holes stay holes"
        assert sorted(path.name for path in work.iterdir()) == ["myproj", "rescued"]
    finally:
        subprocess.run(["umount", "-l", str(work / "plain")], capture_output=True, check=False)


def test_the_wrong_passphrase_opens_nothing(gateway: Gateway, ground: Path) -> None:
    who = gateway.person("forgetful")
    who.new("myproj")
    vault = who.vault("myproj")
    (fsck,) = [line for line in LINES if "-fsck" in line and "passphrase.conf" in line]
    words = fsck.replace("myproj/", f"{vault}/").split()
    assert gateway.as_account(*words, stdin="another passphrase\n").status == 12
    assert gateway.as_account(*words, stdin=PASSPHRASE + "\n").status == 0
