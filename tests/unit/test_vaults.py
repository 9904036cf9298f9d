"""Vaults on disk, made by the real gocryptfs: creation is all or nothing, damage is found, and one holder at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base import files, locks, toml
from gateway.errors import Busy, CannotCreate, DamagedVault, EncError, Misconfigured, NoSuchProject
from gateway.identity.names import Principal, ProjectName, SlotName
from gateway.limits.disk import usage
from gateway.vault import damage, gocryptfs, lease, lifecycle, store
from gateway.vault.lease import LeaseHolder
from gateway.vault.slots import stored as slots
from gateway.vault.store import Vault

P = ProjectName.of("p")
FINGERPRINT = "SHA256:" + "A" * 43
PASSPHRASE = b"correct horse battery staple"
HOLDER = LeaseHolder(session="s-000000000001", since="2024-01-01T00:00:00Z", address="192.0.2.7")
FORK = multiprocessing.get_context("fork")


def create(home: Path, name: ProjectName = P, passphrase: bytes = PASSPHRASE) -> Vault:
    reader, writer = os.pipe()
    os.write(writer, passphrase + b"\n")
    os.close(writer)
    try:
        return lifecycle.create(str(home), name, FINGERPRINT, reader)
    finally:
        os.close(reader)


def tree(path: Path) -> dict[str, str]:
    """Every path below `path`, with what it is and holds."""
    return {
        str(entry.relative_to(path)): f"{entry.lstat().st_mode:o} "
        + (hashlib.sha256(entry.read_bytes()).hexdigest() if entry.is_file() and not entry.is_symlink() else "")
        for entry in sorted(path.rglob("*"))
    }


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A vault that tests copy and do not touch."""
    return create(tmp_path_factory.mktemp("home"))


@pytest.fixture
def vault(pristine: Vault, tmp_path: Path) -> Vault:
    """A vault of the test's own."""
    path = tmp_path / "home" / "p"
    shutil.copytree(pristine.path, path, symlinks=True)
    return Vault(name=P, path=str(path))


# creation


def test_a_new_vault_has_the_layout_that_the_docs_show(pristine: Vault) -> None:
    assert set(tree(Path(pristine.path))) == {
        "vault.toml",
        "lock",
        "cipher",
        "cipher/gocryptfs.diriv",
        "slots",
        "slots/passphrase.conf",
        "slots/passphrase.toml",
    }
    assert all(entry.lstat().st_mode & 0o077 == 0 for entry in (Path(pristine.cipher), Path(pristine.slots)))
    about = {key: located.value for key, located in toml.parse(Path(pristine.metadata).read_text()).items()}
    assert (about["format"], about["owner"]) == (1, FINGERPRINT)
    assert set(about) == {"format", "id", "created", "owner"}


def test_a_new_vault_is_whole_and_has_one_passphrase_slot(pristine: Vault) -> None:
    (slot,) = store.check(pristine)
    assert (slot.name, slot.kind, slot.fingerprint, slot.salt) == ("passphrase", slots.Kind.PASSPHRASE, FINGERPRINT, "")


def test_a_new_slot_is_a_gocryptfs_config_with_aes_gcm_and_scrypt_at_the_default_cost(pristine: Vault) -> None:
    config = json.loads(Path(slots.config_path(pristine.slots, SlotName.of("passphrase"))).read_text())
    assert config["ScryptObject"]["N"] == 65536
    assert {"GCMIV128", "HKDF", "EMENames", "DirIV", "LongNames"} <= set(config["FeatureFlags"])
    assert "PlaintextNames" not in config["FeatureFlags"]


def test_nothing_of_the_passphrase_is_on_disk(pristine: Vault) -> None:
    files = [path for path in Path(pristine.path).rglob("*") if path.is_file()]
    assert files and not any(word in path.read_bytes() for path in files for word in PASSPHRASE.split())


@pytest.mark.parametrize("there", ["vault", "empty directory", "file", "dangling link"])
def test_a_name_that_is_taken_is_refused_and_what_is_there_is_left(tmp_path: Path, there: str) -> None:
    path = tmp_path / "p"
    if there == "vault":
        create(tmp_path)
    elif there == "empty directory":
        path.mkdir()
    elif there == "file":
        path.write_text("x")
    else:
        path.symlink_to("nowhere")
    before = tree(tmp_path)
    with pytest.raises(CannotCreate, match="you already have a project p") as caught:
        create(tmp_path)
    assert caught.value.code == 73
    assert tree(tmp_path) == before


def test_an_empty_passphrase_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(CannotCreate, match="passphrase is empty"):
        create(tmp_path, passphrase=b"")
    assert tree(tmp_path) == {}


def test_a_home_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotCreate, match="could not be created"):
        create(tmp_path / "none")


def _create_with_files_of_at_most(home: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        create(home)
    except CannotCreate:
        os._exit(0)
    os._exit(1)


@pytest.mark.parametrize("size", [0, 100])
def test_nothing_is_left_when_files_cannot_be_written(tmp_path: Path, size: int) -> None:
    # gocryptfs gets EFBIG (setrlimit(2)) where a full disk gives ENOSPC
    child = FORK.Process(target=_create_with_files_of_at_most, args=(tmp_path, size))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert tree(tmp_path) == {}


def _create_one(home: Path) -> None:
    try:
        create(home)
    except CannotCreate as error:
        os._exit(3 if str(error) == "you already have a project p" else 4)
    os._exit(0)


def test_of_several_that_create_the_same_project_at_once_one_does(tmp_path: Path) -> None:
    children = [FORK.Process(target=_create_one, args=(tmp_path,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert sorted(child.exitcode or 0 for child in children) == [0, 3, 3, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert len(store.check(store.find(str(tmp_path), P))) == 1


def test_a_draft_and_the_trash_are_no_projects(vault: Vault) -> None:
    home = Path(vault.path).parent
    for name in (".new-q-00000000", ".trash", "Not-a-name", "-x"):
        (home / name).mkdir()
    (home / "notes").write_text("a file that somebody left is no project either")
    assert store.names(str(home)) == ("p",)


# finding


def test_a_principals_home_is_its_own_and_private(tmp_path: Path) -> None:
    home = store.home(str(tmp_path), Principal.of("dev1"))
    assert home == f"{tmp_path}/u-dev1"
    assert Path(home).stat().st_mode & 0o077 == 0
    assert store.home(str(tmp_path), Principal.of("dev1")) == home
    assert store.names(home) == ()


@pytest.mark.parametrize("there", ["nothing", "file", "dangling link"])
def test_a_project_that_is_not_there_is_not_found(tmp_path: Path, there: str) -> None:
    if there == "file":
        (tmp_path / "p").touch()
    elif there == "dangling link":
        (tmp_path / "p").symlink_to("nowhere")
    with pytest.raises(NoSuchProject, match="you have no project p") as caught:
        store.find(str(tmp_path), P)
    assert caught.value.code == 66


# damage


def linked(name: str) -> Callable[[Path], object]:
    """The part is moved elsewhere and a link to it put in its place."""

    def change(path: Path) -> None:
        part = path / name if name else path
        elsewhere = path.parent / "elsewhere"
        part.rename(elsewhere)
        part.symlink_to(elsewhere)

    return change


def metadata(old: str, new: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        text = (path / "vault.toml").read_text()
        assert old in text
        (path / "vault.toml").write_text(text.replace(old, new))

    return change


def emptied(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        (path / name).unlink()  # gocryptfs makes it read-only
        (path / name).touch()

    return change


def fifo(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        (path / name).unlink()
        os.mkfifo(path / name)

    return change


DAMAGES = [
    pytest.param(fifo("vault.toml"), "missing", id="a FIFO for the metadata"),
    pytest.param(linked("vault.toml"), "missing", id="a link for the metadata"),
    pytest.param(lambda path: os.truncate(path / "vault.toml", 1 << 30), "missing", id="metadata of 1 GiB"),
    pytest.param(fifo("slots/passphrase.conf"), "slots", id="a FIFO for a slot's config"),
    pytest.param(fifo("slots/passphrase.toml"), "slots", id="a FIFO for a slot"),
    pytest.param(lambda path: shutil.rmtree(path / "cipher"), "missing", id="no ciphertext"),
    pytest.param(lambda path: (path / "cipher" / "gocryptfs.diriv").unlink(), "missing", id="ciphertext is empty"),
    pytest.param(lambda path: shutil.rmtree(path / "slots"), "missing", id="no slots"),
    pytest.param(lambda path: (path / "vault.toml").unlink(), "missing", id="no metadata"),
    pytest.param(lambda path: (path / "vault.toml").write_text(""), "missing", id="empty metadata"),
    pytest.param(lambda path: (path / "vault.toml").write_text("format ="), "missing", id="truncated metadata"),
    pytest.param(lambda path: (path / "vault.toml").write_bytes(b"\xff"), "missing", id="metadata not in UTF-8"),
    pytest.param(metadata("format = 1", "format = 2"), "has format 2", id="a later format"),
    pytest.param(metadata("format = 1", 'format = "1"'), "has format 1", id="a format that is a string"),
    pytest.param(metadata("format = 1", "format = true"), "has format", id="a format that is a truth value"),
    pytest.param(metadata("format = 1", ""), "missing", id="no format"),
    pytest.param(lambda path: (path / "slots" / "passphrase.conf").unlink(), "slots", id="no slot's config"),
    pytest.param(emptied("slots/passphrase.conf"), "slots", id="an empty slot's config"),
    pytest.param(lambda path: (path / "slots" / "passphrase.toml").unlink(), "no unlock slot", id="no slot"),
    pytest.param(linked(""), "p is not a directory", id="the vault is a link"),
    pytest.param(linked("cipher"), "cipher is not a directory", id="the ciphertext is a link"),
    pytest.param(linked("slots"), "slots is not a directory", id="the slots are a link"),
    pytest.param(
        lambda path: (path / "slots").rename(path / "x") and (path / "slots").touch(),
        "slots is not a directory",
        id="the slots are a file",
    ),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_damage_is_said_and_left_untouched(vault: Vault, damage: Callable[[Path], object], said: str) -> None:
    damage(Path(vault.path))
    before = tree(Path(vault.path).parent)
    with pytest.raises(DamagedVault, match=said) as caught:
        store.check(vault)
    assert caught.value.code == 65
    assert caught.value.line().isprintable() and vault.path not in caught.value.line()
    assert tree(Path(vault.path).parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("part", ["", "cipher", "slots"])
@pytest.mark.parametrize(("uid", "gid"), [(65534, -1), (-1, 65534)], ids=["user", "group"])
def test_a_part_that_belongs_to_another_account_is_damage(vault: Vault, part: str, uid: int, gid: int) -> None:
    os.chown(os.path.join(vault.path, part), uid, gid)
    with pytest.raises(DamagedVault, match="belongs to another account") as caught:
        store.check(vault)
    assert "chown" in caught.value.hint


def test_a_missing_lock_is_no_damage(vault: Vault) -> None:
    os.unlink(vault.lock)
    assert len(store.check(vault)) == 1
    lease.release(lease.acquire(vault, HOLDER))


def test_a_limit_of_its_own_changes_nothing_else(vault: Vault) -> None:
    assert store.idle_limit(vault) == 0
    before = toml.parse(Path(vault.metadata).read_text())
    store.set_idle_limit(vault, 60)
    store.set_idle_limit(vault, 90)
    assert store.idle_limit(vault) == 90
    assert len(store.check(vault)) == 1
    after = toml.parse(Path(vault.metadata).read_text())
    assert {name: after[name].value for name in before} == {name: located.value for name, located in before.items()}
    assert "vault.toml.new" not in tree(Path(vault.path))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("there", ["FIFO", "link", "directory"])
def test_a_lock_that_is_no_file_is_damage(vault: Vault, there: str) -> None:
    lock = Path(vault.lock)
    lock.unlink()
    if there == "FIFO":
        os.mkfifo(lock)
    elif there == "link":
        lock.symlink_to(Path(vault.path) / "elsewhere")
    else:
        lock.mkdir()
    with pytest.raises(DamagedVault, match="its lock is no file"):
        lease.acquire(vault, HOLDER)
    assert not (Path(vault.path) / "elsewhere").exists()


def test_a_slot_of_another_vault_is_damage(vault: Vault, tmp_path: Path) -> None:
    """With the same passphrase: it opened as an empty project, which took writes under the other key."""
    other = create(tmp_path, ProjectName.of("other"))
    shutil.copy(Path(other.slots, "passphrase.conf"), Path(vault.slots, "theirs"))
    Path(vault.slots, "theirs").rename(Path(vault.slots, "passphrase.conf"))
    with pytest.raises(DamagedVault, match="unlock slots"):
        store.check(vault)


@pytest.mark.parametrize(
    "number",
    [errno.EIO, errno.EROFS, errno.ESTALE, errno.ESHUTDOWN, errno.ENOTCONN, errno.EMFILE, errno.ENOSPC, errno.EACCES],
)
def test_trouble_of_the_host_is_no_damage(number: int) -> None:
    error = damage.error("p", "x", "y", OSError(number, os.strerror(number)))
    assert isinstance(error, Misconfigured) and os.strerror(number) in str(error)


# holding


def test_a_vault_has_one_holder_who_is_named(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER)
    for _ in range(2):
        with pytest.raises(Busy) as caught:
            lease.acquire(vault, HOLDER.replace(session="s-000000000002"))
        by = "by session s-000000000001 from 192.0.2.7 since 2024-01-01T00:00:00Z"
        assert str(caught.value) == f"p is unlocked already {by}"
        assert caught.value.code == 75
    lease.release(fd)
    lease.release(lease.acquire(vault, HOLDER))


def test_a_holder_that_was_killed_holds_nothing(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER)
    child = FORK.Process(target=FORK.Event().wait)
    child.start()
    os.close(fd)
    with pytest.raises(Busy):
        lease.acquire(vault, HOLDER)
    child.kill()
    child.join()
    lease.release(lease.acquire(vault, HOLDER))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"session":"s"}',
        b"\xff",
        b'{"a":1}',
        b'{"session":"s","since":"","address":"\\u001b[2J","host":""}',
    ],
)
def test_a_holder_who_is_not_legible_is_not_named(vault: Vault, content: bytes) -> None:
    fd = lease.acquire(vault, HOLDER)
    Path(vault.holder).write_bytes(content)
    with pytest.raises(Busy, match=r"^p is unlocked already$"):
        lease.acquire(vault, HOLDER)
    os.close(fd)


def test_a_lock_is_never_written(vault: Vault) -> None:
    """On a disk that hosts share, who looks at a file waits for the host that wrote it."""
    os.utime(vault.lock, (1, 1))
    lease.release(lease.acquire(vault, HOLDER))
    lease.note_use(vault)
    found = os.stat(vault.lock)
    assert (found.st_size, found.st_mtime) == (0, 1)
    assert Path(vault.holder).read_bytes() == b"", "who has released it is not named"


def test_a_lock_from_before_there_was_a_holder_s_file_says_nothing(vault: Vault) -> None:
    Path(vault.lock).write_text('{"session":"s-000000000009","since":"x","address":"y"}')
    os.utime(vault.lock, (86400, 86400))
    assert lease.last_used(vault) == 86400
    fd = lease.acquire(vault, HOLDER)
    with pytest.raises(Busy, match="by session s-000000000001 from"):
        lease.acquire(vault, HOLDER)
    lease.release(fd)
    assert lease.last_used(vault) > 1_700_000_000


def test_a_holder_on_another_host_is_named_with_it(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER.replace(host="gw2"))
    with pytest.raises(Busy) as caught:
        lease.acquire(vault, HOLDER.replace(host="gw1"))
    by = "by session s-000000000001 on gw2 from 192.0.2.7 since 2024-01-01T00:00:00Z"
    assert caught.value.line() == f"p is unlocked already {by}; connect to gw2, where it is"
    with pytest.raises(Busy, match="on gw2") as caught:
        lease.acquire(vault, HOLDER.replace(host="gw2"))
    assert caught.value.hint == "`unmount p` locks it"
    lease.release(fd)


def test_a_name_is_beside_the_lock_wherever_the_vault_was_moved(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER)
    moved = Vault(name=P, path=f"{vault.path}2")
    os.rename(vault.path, moved.path)
    assert b"s-000000000001" in Path(moved.holder).read_bytes()
    lease.release(fd)
    assert Path(moved.holder).read_bytes() == b""
    assert not os.path.lexists(vault.path)


def test_a_full_disk_leaves_no_wrong_name(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(lease.acquire(vault, HOLDER))  # killed

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(files, "replace", full)
    fd = lease.acquire(vault, HOLDER.replace(session="s-000000000002"))
    with pytest.raises(Busy, match=r"^p is unlocked already$"):
        lease.acquire(vault, HOLDER)
    lease.release(fd)
    lease.release(lease.acquire(vault, HOLDER))


def test_a_lock_that_is_made_is_on_the_disk_before_it_is_locked(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a shared disk that is killed forgets the locks of a file that it has not written yet."""
    os.unlink(vault.lock)
    done: list[str] = []
    lock = locks.try_acquire

    def try_acquire(fd: int) -> bool:
        done.append("locked")
        return lock(fd)

    monkeypatch.setattr(os, "fsync", lambda fd: done.append(os.readlink(f"/proc/self/fd/{fd}")))
    monkeypatch.setattr(locks, "try_acquire", try_acquire)
    lease.release(lease.acquire(vault, HOLDER))
    assert done == [vault.lock, vault.path, "locked"]
    lease.release(lease.acquire(vault, HOLDER))
    assert done == [vault.lock, vault.path, "locked", "locked"]


def test_a_refused_holder_leaves_no_descriptor_behind(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Busy):
        lease.acquire(vault, HOLDER)
    assert os.listdir("/proc/self/fd") == before
    os.close(fd)


# removing


def test_a_removed_vault_is_whole_in_the_trash(vault: Vault) -> None:
    home = Path(vault.path).parent
    parts = set(tree(Path(vault.path)))
    first = lifecycle.remove(str(home), vault, HOLDER)
    assert store.names(str(home)) == ()
    assert first.startswith(f"{home}/.trash/p-")
    assert set(tree(Path(first))) == {*parts, "holder"}
    assert len(store.check(Vault(name=P, path=first))) == 1


def test_a_vault_that_is_held_is_not_removed(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER)
    with pytest.raises(Busy):
        lifecycle.remove(str(Path(vault.path).parent), vault, HOLDER)
    assert os.path.isdir(vault.path)
    lease.release(fd)


def test_the_same_name_can_be_made_and_removed_again(vault: Vault) -> None:
    home = Path(vault.path).parent
    lifecycle.remove(str(home), vault, HOLDER)
    again = create(home)
    lifecycle.remove(str(home), again, HOLDER)
    assert len(list((home / ".trash").iterdir())) == 2


# what `ls` shows


def test_the_size_is_what_the_vault_takes_on_disk(vault: Vault) -> None:
    before, complete = usage.size(vault.path, 10)
    assert complete
    Path(vault.cipher, "x").mkdir()
    Path(vault.cipher, "x", "y").write_bytes(b"x" * 1_000_000)
    after, complete = usage.size(vault.path, 10)
    assert complete and 900_000 < after - before < 1_200_000


def test_counting_stops_at_its_time_and_says_so(vault: Vault) -> None:
    assert usage.size(vault.path, -1)[1] is False


def test_a_vault_that_is_gone_takes_nothing(tmp_path: Path) -> None:
    gone = Vault(name=P, path=str(tmp_path / "p"))
    assert usage.size(gone.path, 10) == (0, True)
    assert lease.last_used(gone) == 0.0


def test_it_was_last_used_when_it_was_locked(vault: Vault) -> None:
    os.utime(vault.lock, (1, 1))
    assert lease.last_used(vault) == 1
    lease.release(lease.acquire(vault, HOLDER))
    assert lease.last_used(vault) > 1_700_000_000
    os.utime(vault.holder, (2, 2))
    assert lease.last_used(vault) == 2
    lease.note_use(vault)
    assert lease.last_used(vault) > 1_700_000_000


# gocryptfs's exit codes


@pytest.mark.parametrize(
    ("status", "slug"),
    [(12, "wrong-secret"), (9, "wrong-secret"), (11, "damaged-vault"), (6, "damaged-vault"), (1, "internal")],
)
def test_the_end_of_gocryptfs_is_an_error_for_people(status: int, slug: str) -> None:
    error: EncError = gocryptfs.failure(status)
    assert error.slug == slug


def test_a_lock_that_somebody_else_has_as_well_is_free_when_they_end(vault: Vault) -> None:
    fd = lease.acquire(vault, HOLDER)
    left = os.dup(fd)  # as a sandbox has it
    lease.release(fd, is_shared=True)
    with pytest.raises(Busy):
        lease.acquire(vault, HOLDER)
    os.close(left)
    lease.release(lease.acquire(vault, HOLDER))
