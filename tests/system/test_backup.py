"""Backups of vaults in use, restoring them, and fsck, which only the owner can run."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.identity.names import ProjectName
from gateway.vault import ciphertext
from gateway.vault.store import Vault
from tests.harness import PASSPHRASE, Gateway, Person, admin, eventually, need
from tests.life import keep_doing, sshfs


@pytest.fixture(scope="module")
def kept(ground: Path) -> Iterator[Gateway]:
    gateway = Gateway(ground / "gw").start()
    yield gateway
    gateway.stop()


@pytest.fixture
def owner(kept: Gateway, request: pytest.FixtureRequest) -> Person:
    name = f"owner-{abs(hash(request.node.name)) % 10**8}"
    who = kept.person(name, name)
    who.new("work")
    return who


def copied(gateway: Gateway, to: Path) -> dict[tuple[str, str], str]:
    """Run `backup TO`; the problem of each project ("" for none)."""
    result = admin(gateway, "backup", str(to), "--json")
    vaults = result.json["vaults"]
    assert isinstance(vaults, list)
    assert result.status == (75 if any(one["problem"] for one in vaults) else 0), result
    return {(one["principal"], one["project"]): one["problem"] for one in vaults}


def opened(vault: Path, at: Path, name: str) -> bytes:
    """The content of a file in a copied vault, read with stock gocryptfs."""
    mine = at / "opened"
    shutil.copytree(vault, mine)
    (at / "plain").mkdir()
    config = str(mine / "slots" / "passphrase.conf")
    words = ["gocryptfs", "-q", "-nosyslog", "-config", config, str(mine / "cipher"), str(at / "plain")]
    quiet = subprocess.DEVNULL  # gocryptfs stays in the background with its descriptors
    subprocess.run(words, input=PASSPHRASE.encode() + b"\n", check=True, stdout=quiet, stderr=quiet, timeout=60)
    try:
        return (at / "plain" / name).read_bytes()
    finally:
        subprocess.run(["fusermount3", "-u", str(at / "plain")], check=True)
        shutil.rmtree(mine)
        (at / "plain").rmdir()


def test_a_copy_of_a_project_in_use_is_whole_and_current(kept: Gateway, owner: Person, tmp_path: Path) -> None:
    backup, vault = tmp_path / "backup", f"u-{owner.name}/work"
    with owner.mounted("work"), sshfs(owner, "work", tmp_path / "mnt") as mnt:
        (mnt / "deep").mkdir()
        (mnt / "deep" / ("n" * 200)).write_bytes(b"long")
        (mnt / "file").write_bytes(b"one" * 10_000)
        os.utime(mnt / "file", (10**9, 10**9))
        assert copied(kept, backup)[owner.name, "work"] == ""
        assert opened(backup / vault, tmp_path, "file") == b"one" * 10_000
        assert opened(backup / vault, tmp_path, "deep/" + "n" * 200) == b"long"
        before = (backup / vault).stat().st_ino
        (mnt / "file").write_bytes(b"two" * 10_000)
        os.utime(mnt / "file", (10**9, 10**9))  # size and mtime do not show the change
        (mnt / "deep" / ("n" * 200)).unlink()
        writer = threading.Thread(target=keep_doing, args=(lambda: (mnt / "other").write_bytes(b"x"), 0.02, 1.5))
        writer.start()  # makes the first attempt fail
        assert copied(kept, backup)[owner.name, "work"] == ""
        writer.join()
        assert opened(backup / vault, tmp_path, "file") == b"two" * 10_000
        assert (backup / vault).stat().st_ino != before, "it is replaced as a whole"
        assert not ciphertext.find_problems(Vault(name=ProjectName("work"), path=str(backup / vault)))
    assert not (backup / vault / "lock").exists()
    assert sorted(path.name for path in (backup / f"u-{owner.name}").iterdir()) == [".seen-work", "work"]
    assert backup.stat().st_mode & 0o777 == 0o700


def test_while_somebody_keeps_writing_the_earlier_copy_stays(kept: Gateway, owner: Person, tmp_path: Path) -> None:
    backup, vault = tmp_path / "backup", f"u-{owner.name}/work"
    stop = threading.Event()

    def write(at: Path) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            (at / "busy").write_bytes(b"%d" % number)
            stop.wait(0.02)

    with owner.mounted("work"), sshfs(owner, "work", tmp_path / "mnt") as mnt:
        (mnt / "file").write_bytes(b"before")
        assert copied(kept, backup)[owner.name, "work"] == ""
        writer = threading.Thread(target=write, args=(mnt,))
        writer.start()
        try:
            eventually((mnt / "busy").exists)
            assert "was written to" in copied(kept, backup)[owner.name, "work"]
        finally:
            stop.set()
            writer.join()
        assert opened(backup / vault, tmp_path, "file") == b"before"
        assert not list((backup / f"u-{owner.name}").glob(".new-*"))
        assert copied(kept, backup)[owner.name, "work"] == ""
        assert int(opened(backup / vault, tmp_path, "busy")) > 1


def test_a_project_comes_back_beside_the_live_one_and_its_owner_checks_it(
    kept: Gateway, owner: Person, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    with owner.mounted("work"):
        assert owner.sftp(f"put {Path(__file__)} work/kept").status == 0
    copied(kept, backup)
    with owner.mounted("work"):
        assert owner.sftp("rm work/kept").status == 0
    result = admin(kept, "restore", str(backup), owner.name, "work")
    assert result.status == 0 and "ssh -t gateway fsck work.restored" in result.out
    assert admin(kept, "restore", str(backup), owner.name, "work").status == 73
    names = [one["name"] for one in owner.ssh("ls", "--json").json["projects"]]  # type: ignore[attr-defined]
    assert names == ["work", "work.restored"]
    checked = owner.ssh("fsck", "work.restored", "--json", stdin=PASSPHRASE + "\n")
    assert checked.status == 0 and checked.json == {"project": "work.restored", "sound": True}
    with owner.mounted("work.restored"):
        assert owner.sftp("get work.restored/kept " + str(tmp_path / "back")).status == 0
    assert (tmp_path / "back").read_bytes() == Path(__file__).read_bytes()
    with owner.mounted("work"):
        assert "kept" not in owner.sftp("ls work").out, "the live one was not touched"
    assert admin(kept, "restore", str(backup), owner.name, "work", "--as", "other").status == 0
    assert {one["project"] for one in kept.events("restored", principal=owner.name)} == {"work.restored", "other"}


def test_damage_is_found_by_the_owner_and_named_to_nobody_else(kept: Gateway, owner: Person) -> None:
    with owner.mounted("work"):
        assert owner.sftp(f"put {Path(__file__)} work/secretname").status == 0
    cipher = kept.vaults / f"u-{owner.name}" / "work" / "cipher"
    (big,) = [path for path in cipher.iterdir() if path.is_file() and path.stat().st_size > 4096]
    with big.open("r+b") as file:
        file.seek(5000)
        file.write(b"x" * 8)
    wrong = owner.ssh("fsck", "work", stdin="not the passphrase\n")
    assert wrong.status == 77 and "wrong passphrase" in wrong.err
    damaged = owner.ssh("fsck", "work", stdin=PASSPHRASE + "\n")
    assert damaged.status == 65 and "secretname" in damaged.out
    assert kept.events("checked", principal=owner.name, sound=False)
    assert "secretname" not in (kept.root / "audit" / "audit.jsonl").read_text()
    assert owner.ssh("fsck", "none", stdin="x\n").status == 66
    with owner.mounted("work"):
        held = owner.ssh("fsck", "work", stdin=PASSPHRASE + "\n")
        assert held.status == 75 and "unlocked already" in held.err
    eventually(lambda: not kept.leftovers())


def test_a_torn_copy_is_not_brought_back(kept: Gateway, owner: Person, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with owner.mounted("work"):
        assert owner.sftp("mkdir work/deep").status == 0
    copied(kept, backup)
    (iv,) = (backup / f"u-{owner.name}" / "work" / "cipher").glob(f"*/{ciphertext.DIRIV}")
    iv.unlink()
    result = admin(kept, "restore", str(backup), owner.name, "work")
    assert result.status == 65 and "nothing was restored" in result.err
    home = kept.vaults / f"u-{owner.name}"
    assert sorted(path.name for path in home.iterdir()) == ["work"]
    assert admin(kept, "restore", str(backup), owner.name, "none").status == 66
    assert admin(kept, "restore", str(tmp_path), owner.name, "work").status == 66


def test_a_damaged_vault_is_told_and_the_others_are_copied(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    who = gateway.person("someone", "someone")
    who.new("bad")
    who.new("good")
    shutil.rmtree(gateway.vaults / "u-someone" / "bad" / "slots")
    result = copied(gateway, tmp_path / "backup")
    assert result["someone", "good"] == "" and "missing" in result["someone", "bad"]
    assert gateway.events("backup", vaults=2, incomplete=1)
    shutil.rmtree(gateway.vaults / "u-someone" / "good")
    copied(gateway, tmp_path / "backup")
    assert (tmp_path / "backup" / "u-someone" / "good" / "vault.toml").exists(), "what was removed is kept"


def test_a_directory_of_somebody_else_is_left_alone(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    result = admin(gateway, "backup", str(tmp_path))
    assert result.status == 64
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_link_in_the_account_s_directories_leads_root_nowhere(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    need(os.geteuid() == 0, "not root")
    gateway = make_gateway()
    who = gateway.person("someone", "someone")
    who.new("work")
    who.new("good")
    home, backup = gateway.vaults / "u-someone", tmp_path / "backup"
    shutil.copytree(home / "work", tmp_path / "root-s" / "alone")
    (tmp_path / "root-s" / "alone" / "cipher" / "shadow").write_text("x" * 51)
    (tmp_path / "root-s").chmod(0o700)
    (home / "evil").symlink_to(tmp_path / "root-s" / "alone")
    (home / "work" / "cipher").rename(home / "work" / "away")
    (home / "work" / "cipher").symlink_to(tmp_path / "root-s" / "alone" / "cipher")
    result = copied(gateway, backup)
    assert "cannot read" in result["someone", "evil"] and "not a directory" in result["someone", "work"]
    assert result["someone", "good"] == ""
    assert not list(backup.rglob("shadow"))


def test_what_is_no_file_is_copied_as_what_it_is_and_what_leads_elsewhere_is_told(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    who = gateway.person("someone", "someone")
    for name in ("links", "slots", "slot", "iv", "meta"):
        who.new(name)
    home, secret = gateway.vaults / "u-someone", tmp_path / "secret"
    secret.write_text("x" * 16)

    def instead(path: Path) -> None:
        path.rename(path.with_name("away"))
        path.symlink_to(secret)

    (home / "links" / "cipher" / "link").symlink_to(secret)
    (home / "links" / "cipher" / "up").symlink_to("../../../../..")
    script = f"import os, socket; os.chdir({str(home / 'links' / 'cipher')!r}); os.mkfifo('p')"
    script += "; socket.socket(socket.AF_UNIX).bind('s')"
    assert gateway.as_account("/usr/bin/python3", "-c", script).status == 0
    instead(home / "slots" / "slots")
    instead(home / "slot" / "slots" / "passphrase.conf")
    instead(home / "iv" / "cipher" / ciphertext.DIRIV)
    instead(home / "meta" / "vault.toml")
    result = copied(gateway, tmp_path / "backup")
    assert result["someone", "links"] == ""
    assert "slots is not a directory" in result["someone", "slots"]
    assert "slots contains something other than files" in result["someone", "slot"]
    assert "gocryptfs.diriv is missing or damaged" in result["someone", "iv"]
    assert "vault.toml is not a file" in result["someone", "meta"]
    copy = tmp_path / "backup" / "u-someone" / "links" / "cipher"
    assert (copy / "link").is_symlink() and (copy / "up").is_symlink() and (copy / "p").is_fifo()
    assert not [path for path in (tmp_path / "backup").rglob("*") if path.is_file() and "x" * 16 in _text(path)]


def _text(path: Path) -> str:
    return "" if path.is_symlink() else path.read_bytes().decode(errors="replace")


@pytest.mark.parametrize(
    ("size", "whole"),
    [(0, True), (18, False), (50, False), (51, True), (4146, True), (4147, False), (4179, True), (8274, True)],
)
def test_the_sizes_of_ciphertext(size: int, whole: bool) -> None:
    assert ciphertext.is_valid_size(size) == whole
