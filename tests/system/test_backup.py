"""Backups of vaults in use, restoring them, and fsck, which only the owner can run."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.identity.names import ProjectName
from gateway.vault import ciphertext
from gateway.vault.store import Vault
from tests.harness import PASSPHRASE, Gateway, Person, admin, bindir, eventually, need, run
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
    assert not any((backup / vault / name).exists() for name in ("lock", "holder"))
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


def by_hand(path: Path, name: str, levels: int) -> None:
    """What gocryptfs would make of `levels` directories in one another, as far as a check without a key can see."""
    fd = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, 0o700, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        iv = os.open(ciphertext.DIRIV, os.O_CREAT | os.O_WRONLY, 0o400, dir_fd=below)
        os.write(iv, os.urandom(16))
        os.close(iv)
        for each in (below, ciphertext.DIRIV):
            os.chown(each, *_owner(path), dir_fd=None if isinstance(each, int) else below)
        os.close(fd)
        fd = below
    os.close(fd)


def _owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def removed(*paths: Path) -> None:
    subprocess.run(["rm", "-rf", *paths], check=True)


def program(who: Person, script: str) -> str:
    """What a program in the project `work` prints."""
    with who.mounted("work"):
        done = who.ssh("run", "work", "--", "sh", "-c", f"'{script}'")
    assert done.status == 0, done
    return done.out


def test_what_chmod_closed_is_backed_up_restored_and_sound(kept: Gateway, owner: Person, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    program(owner, "echo x >zero; echo y >write; mkdir d; echo z >d/in; chmod 0 zero d; chmod 200 write")
    before = sorted(path.lstat().st_mode for path in (kept.vaults / f"u-{owner.name}" / "work").rglob("*"))
    for _ in range(2):
        assert copied(kept, backup)[owner.name, "work"] == ""
    owner.ssh("ls")
    after = sorted(path.lstat().st_mode for path in (kept.vaults / f"u-{owner.name}" / "work").rglob("*"))
    assert before == after, "neither the backup nor `ls` opens what is closed"
    checked = owner.ssh("fsck", "work", "--json", stdin=PASSPHRASE + "\n")
    assert (checked.status, checked.json) == (0, {"project": "work", "sound": True})
    assert admin(kept, "restore", str(backup), owner.name, "work").status == 0
    checked = owner.ssh("fsck", "work.restored", stdin=PASSPHRASE + "\n")
    assert checked.status == 0, checked
    said = owner.hold("mount", "work.restored", stdin=PASSPHRASE + "\n")
    try:
        said.read_until("unlocked")
        script = "stat -c %a zero d write; chmod 700 zero write d; cat zero write d/in"
        done = owner.ssh("run", "work.restored", "--", "sh", "-c", f"'{script}'")
    finally:
        said.end()
    assert done.out.split() == ["0", "0", "200", "x", "y", "z"]


def test_holes_links_and_times_come_back_and_sizes_are_right(kept: Gateway, owner: Person, tmp_path: Path) -> None:
    backup, vault = tmp_path / "backup", kept.vaults / f"u-{owner.name}" / "work"
    script = "truncate -s 1G hole; head -c 20000000 /dev/urandom >big; touch -d @1234567890.123456789 big hole"
    program(owner, script + f"; touch {'n' * 255}")
    (big,) = [path for path in (vault / "cipher").iterdir() if path.stat().st_blocks > 10_000]
    for number in range(9):  # as gocryptfs does it
        os.link(big, vault / "cipher" / f"{big.name[:-1]}{number}")
    assert copied(kept, backup)[owner.name, "work"] == ""
    assert admin(kept, "restore", str(backup), owner.name, "work").status == 0
    home = kept.vaults / f"u-{owner.name}"
    for top in (vault, backup / f"u-{owner.name}" / "work", home / "work.restored"):
        found = [path.stat() for path in (top / "cipher").iterdir()]
        assert sum(one.st_blocks * 512 for one in {one.st_ino: one for one in found}.values()) < 21_000_000
        assert sorted(one.st_nlink for one in found if one.st_blocks > 10_000) == [10] * 10
        assert sum(one.st_mtime_ns == 1234567890_123456789 for one in found) == 11
        assert max(one.st_size for one in found) > 1 << 30
    shown = {one["name"]: one for one in owner.ssh("ls", "--json").json["projects"]}  # type: ignore[attr-defined]
    for name in ("work", "work.restored"):
        assert 20_000_000 < shown[name]["size"] < 21_000_000
        assert not shown[name]["last_used"].startswith("1970")
    listed = admin(kept, "vaults", "--json").json["vaults"]
    sizes = [one["size"] for one in listed if one["principal"] == owner.name]  # type: ignore[attr-defined]
    assert len(sizes) == 2 and max(sizes) < 21_000_000


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """An ACL as an extended attribute: tag, permissions, id (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
ANOTHER_MAY_READ = access_list((1, 7, NOBODY), (2, 5, 12345), (4, 0, NOBODY), (16, 5, NOBODY), (32, 0, NOBODY))


def test_a_view_has_no_access_lists_and_those_of_the_store_do_not_come_back(
    kept: Gateway, owner: Person, tmp_path: Path
) -> None:
    """A sysadmin may have put some there, for a backup of another kind: new files inherit them."""
    cipher, backup = kept.vaults / f"u-{owner.name}" / "work" / "cipher", tmp_path / "backup"
    os.setxattr(cipher, "system.posix_acl_default", ANOTHER_MAY_READ)
    os.setxattr(cipher, "system.posix_acl_access", ANOTHER_MAY_READ)
    own = access_list((1, 6, NOBODY), (4, 4, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))
    attempt = f'import os; os.setxattr("file", "system.posix_acl_access", {own!r})'.replace("'", '"')
    said = program(owner, f"echo content >file; python3 -c '\\''{attempt}'\\'' 2>&1 | tail -n 1; cp -a file copy")
    assert "Operation not supported" in said
    assert any("system.posix_acl_access" in os.listxattr(path) for path in cipher.iterdir() if path.stat().st_size)
    assert copied(kept, backup)[owner.name, "work"] == ""
    assert admin(kept, "restore", str(backup), owner.name, "work").status == 0
    restored = kept.vaults / f"u-{owner.name}" / "work.restored"
    for top in (backup / f"u-{owner.name}" / "work", restored):
        found = [name for path in (top, *top.rglob("*")) for name in os.listxattr(path)]
        assert not [name for name in found if "acl" in name]
    assert opened(restored, tmp_path, "file") == b"content\n"
    assert owner.ssh("fsck", "work.restored", stdin=PASSPHRASE + "\n").status == 0


def test_an_unchanged_file_is_not_copied_again_and_one_of_another_place_is(
    kept: Gateway, owner: Person, tmp_path: Path
) -> None:
    backup, vault = tmp_path / "backup", f"u-{owner.name}/work"
    program(owner, "mkdir a b; echo one >a/f; echo two >b/f; touch -d @1000000000 a/f b/f a b")
    assert copied(kept, backup)[owner.name, "work"] == ""
    before = {path.stat().st_ino for path in (backup / vault / "cipher").rglob("*") if path.is_file()}
    assert copied(kept, backup)[owner.name, "work"] == ""
    assert before == {path.stat().st_ino for path in (backup / vault / "cipher").rglob("*") if path.is_file()}
    program(owner, "mv a c; mv b a; mv c b; touch -d @1000000000 a b")
    assert copied(kept, backup)[owner.name, "work"] == ""
    assert opened(backup / vault, tmp_path, "a/f") == b"two\n"
    assert opened(backup / vault, tmp_path, "b/f") == b"one\n"


def test_depth_is_backed_up_counted_restored_and_thrown_away(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """300 levels as a program makes them, and 1,200 that no path reaches."""
    need(os.geteuid() == 0, "not root")
    gateway = make_gateway(**{"trash.days": "0"})
    who = gateway.person("someone", "someone")
    who.new("work")
    who.new("abyss")
    home, backup = gateway.vaults / "u-someone", tmp_path / "backup"
    program(who, "for i in $(seq 300); do mkdir d; cd d; done; head -c 3000000 /dev/zero | tr a b >deep")
    by_hand(home / "abyss" / "cipher", "n" * 255, 1200)
    try:
        assert copied(gateway, backup) == {("someone", "abyss"): "", ("someone", "work"): ""}
        shown = {one["name"]: one for one in who.ssh("ls", "--json").json["projects"]}  # type: ignore[attr-defined]
        assert shown["work"]["size"] > 3_000_000 and shown["abyss"]["size"] > 2400 * 4096
        checked = who.ssh("fsck", "work", stdin=PASSPHRASE + "\n")
        assert checked.status == 0, checked
        for name in ("work", "abyss"):
            result = admin(gateway, "restore", str(backup), "someone", name)
            assert result.status == 0, result
        checked = who.ssh("fsck", "work.restored", stdin=PASSPHRASE + "\n")
        assert checked.status == 0, checked
        assert who.ssh("rm", "abyss", "--yes").status == 0
        who.new("another")
        assert not list((home / ".trash").iterdir()), "`new` swept it"
        assert who.ssh("rm", "abyss.restored", "--yes").status == 0
        assert admin(gateway, "sweep").status == 0
        assert not list((home / ".trash").iterdir())
    finally:
        removed(backup, home)


def test_one_project_s_trouble_is_named_and_the_others_are_kept(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    need(os.geteuid() == 0, "not root")
    gateway = make_gateway(**{"trash.days": "0"})
    who = gateway.person("someone", "someone")
    for name in ("a-device", "b-foreign", "c-bytes", "d-good", "thrown"):
        who.new(name)
    home = gateway.vaults / "u-someone"
    os.mknod(home / "a-device" / "cipher" / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (home / "b-foreign" / "cipher" / "root-s").write_text("x" * 51)
    (home / "b-foreign" / "cipher" / "root-s").chmod(0o600)
    stray = os.open(os.fsencode(home / "c-bytes" / "cipher") + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY, 0o644)
    os.close(stray)
    result = copied(gateway, tmp_path / "backup")
    assert "null: it is a device" in result["someone", "a-device"]
    assert "root-s: Permission denied" in result["someone", "b-foreign"]
    assert [result["someone", name] for name in ("c-bytes", "d-good", "thrown")] == ["", "", ""]
    assert copied(gateway, tmp_path / "backup")["someone", "c-bytes"] == ""
    assert admin(gateway, "restore", str(tmp_path / "backup"), "someone", "c-bytes").status == 0

    assert who.ssh("rm", "thrown", "--yes").status == 0
    (thrown,) = (home / ".trash").iterdir()
    subprocess.run(["chattr", "+i", thrown / "vault.toml"], check=True)
    try:
        assert who.ssh("rm", "d-good", "--yes").status == 0
        swept = admin(gateway, "sweep")
        assert swept.status == 75 and thrown.name in swept.err and "Operation not permitted" in swept.err, swept
        assert "1 project in the trash" in swept.out
        who.new("d-good")
    finally:
        subprocess.run(["chattr", "-i", thrown / "vault.toml"], check=True)
    assert admin(gateway, "sweep").status == 0 and not list((home / ".trash").iterdir())


def test_what_fsck_cannot_read_is_not_damaged(kept: Gateway, owner: Person) -> None:
    """gocryptfs walks the view by whole paths; what it cannot reach so is told with a code of its own."""
    program(owner, f"for i in $(seq 25); do mkdir {'d' * 200}; cd {'d' * 200}; done; echo x >f")
    checked = owner.ssh("fsck", "work", stdin=PASSPHRASE + "\n")
    assert checked.status == 74 and "4,095 bytes" in checked.err, checked
    assert kept.events("checked", principal=owner.name, sound=False)
    with owner.mounted("work"):
        assert owner.ssh("run", "work", "--", "sh", "-c", f"'rm -r {'d' * 200}'").status == 0


def _text(path: Path) -> str:
    return "" if path.is_symlink() else path.read_bytes().decode(errors="replace")


@pytest.mark.parametrize(
    ("size", "whole"),
    [(0, True), (18, False), (50, False), (51, True), (4146, True), (4147, False), (4179, True), (8274, True)],
)
def test_the_sizes_of_ciphertext(size: int, whole: bool) -> None:
    assert ciphertext.is_valid_size(size) == whole


def test_a_backup_says_what_changed_lists_its_copies_and_checks_them(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway, to = make_gateway(), tmp_path / "backup"
    someone = gateway.person("someone", "someone")
    someone.new("one")
    someone.new("two")
    first = admin(gateway, "backup", str(to))
    assert re.search(r"^2 projects, .*: 2 copied \(.*\), 0 unchanged; \d+\.\d s$", first.out, re.MULTILINE), first
    with someone.mounted("one"):
        assert someone.sftp(f"put {__file__} one/file").status == 0
    second = admin(gateway, "backup", str(to))
    results = {line.split()[1]: line.split()[-1] for line in second.out.splitlines() if line.startswith("someone")}
    assert results == {"one": "copied", "two": "unchanged"} and "1 copied" in second.out
    third = json.loads(admin(gateway, "backup", str(to), "--json").out)
    assert [one["changed"] for one in third["vaults"]] == [False, False] and third["seconds"] > 0
    program = str(bindir() / "enc-gateway")
    listed = run([program, "backup", "list", str(to), "--json"]).json["copies"]
    assert isinstance(listed, list) and [one["project"] for one in listed] == ["one", "two"] and listed[0]["copied"]
    shown = admin(gateway, "restore", str(to))
    assert f"enc-gateway restore {to} someone one" in shown.out and shown.out.count("\nsomeone ") == 2
    unknown = admin(gateway, "restore", str(to), "nobody")
    assert unknown.status == 66 and "no principal, key or label nobody" in unknown.err
    assert admin(gateway, "restore", str(tmp_path)).status == 66
    sound = run([program, "backup", "verify", str(to)])
    assert (sound.status, sound.out.splitlines()[-1]) == (0, "2 copies, none damaged")
    next((to / "u-someone" / "two" / "cipher").glob(ciphertext.DIRIV)).unlink()
    damaged = run([program, "backup", "verify", str(to)])
    assert damaged.status == 65 and damaged.out.splitlines()[-1] == "2 copies, 1 damaged"
    assert re.search(r"^someone +two +DAMAGED: ", damaged.out, re.MULTILINE), damaged
    assert re.search(r"^someone +one +sound$", damaged.out, re.MULTILINE)
    kept = [path for path in (to / "u-someone" / "one" / "cipher").iterdir() if path.name != ciphertext.DIRIV]
    assert kept, "a file of its user's"
    kept[0].unlink()
    lost = run([program, "backup", "verify", str(to)])
    assert lost.status == 65 and re.search(r"^someone +one +DAMAGED: 1 of \d+ files .*missing", lost.out, re.M), lost
