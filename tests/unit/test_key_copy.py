"""The copy of the keys on a host of a cluster: what it takes from the master, what it does not, and how old it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base import files
from gateway.base.clock import boottime
from gateway.cluster import follower, key_copy, mirror, places
from gateway.cluster.key_copy import KeyCopy, Unreadable
from gateway.config import loader
from gateway.config.schema import Config
from gateway.errors import Misconfigured

ONE, TWO, THREE = "ssh-ed25519 AAAA1 one", "ssh-ed25519 AAAA2 two", "ssh-ed25519 AAAA3 three"
ALL = f"{ONE}\n{TWO}\n{THREE}\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for name in (*places.SHARED, "keys"):
        (tmp_path / name).mkdir()
    (tmp_path / "authorized_keys").write_text(ALL)
    return loader.parse("").replace(
        cluster_directory=str(tmp_path),
        cluster_host="gw1",
        cluster_address="gw1:22",
        paths_authorized_keys=f"{tmp_path}/keys/authorized_keys",
    )


def master(config: Config) -> Path:
    return Path(places.keys(config))


def copied(config: Config) -> str:
    return Path(config.paths_authorized_keys).read_text()


def following(config: Config) -> KeyCopy:
    keys = KeyCopy(config)
    keys.look()
    assert copied(config) == ALL and not keys.is_in_doubt
    return keys


def rename_over(file: Path, text: str) -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.rename(file)


EDITS: dict[str, Callable[[Path], object]] = {
    "written in place": lambda file: file.write_text(f"{ONE}\n{THREE}\n"),
    "renamed over": lambda file: rename_over(file, f"{ONE}\n{THREE}\n"),
    "without its last line end": lambda file: file.write_text(f"{ONE}\n{THREE}"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_line_is_gone_when_it_is_gone_in_two_looks_in_a_row(config: Config, edit: Callable[[Path], object]) -> None:
    keys = following(config)
    edit(master(config))
    keys.look()
    assert copied(config).splitlines() == [ONE, THREE, TWO] and keys.is_in_doubt
    keys.look()
    assert copied(config) == master(config).read_text() and not keys.is_in_doubt


def test_a_line_that_is_added_is_there_at_once(config: Config) -> None:
    keys = following(config)
    with master(config).open("a") as file:
        file.write("ssh-ed25519 AAAA4 four\n")
    keys.look()
    assert copied(config) == master(config).read_text() and not keys.is_in_doubt


def test_a_file_that_is_replaced_is_not_taken_for_one_without_keys(config: Config) -> None:
    keys = following(config)
    master(config).unlink()
    keys.look()
    assert copied(config) == ALL
    master(config).write_text(ALL)
    keys.look()
    assert copied(config) == ALL and not keys.is_in_doubt


def test_a_file_that_is_gone_lets_nobody_in(config: Config) -> None:
    keys = following(config)
    master(config).unlink()
    keys.look()
    keys.look()
    assert copied(config) == ""


def test_a_line_gone_while_nobody_followed_is_gone_after_two_looks(config: Config) -> None:
    following(config)
    master(config).write_text(f"{ONE}\n")
    keys = KeyCopy(config)
    keys.look()
    keys.look()
    assert copied(config) == f"{ONE}\n"


def unmounted(file: Path) -> None:
    (file.parent / "hosts").rmdir()
    file.unlink()


def writable(file: Path) -> None:
    file.write_text("")
    file.chmod(0o664)


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def too_large(file: Path) -> None:
    os.truncate(file, 17 << 20)


def test_a_copy_is_as_old_as_the_look_that_made_it(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may be suspended, or the store slow, after the master was read: a key may have gone meanwhile."""
    keys, now = following(config), [boottime() - 60]
    monkeypatch.setattr(follower, "boottime", lambda: now[0])
    monkeypatch.setattr(keys, "look", lambda: now.append(now.pop() + 60))
    assert not follower._look(keys, config)
    assert mirror.age(places.copy(config)) >= 60


@pytest.mark.parametrize(
    ("change", "said"),
    [(unmounted, "is the shared disk mounted"), (writable, "chmod go-w"), (fifo, "not a regular"), (too_large, "MiB")],
)
def test_what_says_nothing_of_keys_leaves_the_copy_which_gets_old(
    config: Config, change: Callable[[Path], None], said: str
) -> None:
    keys = following(config)
    assert mirror.age(places.copy(config)) == float("inf")
    assert not follower._look(keys, config)
    assert mirror.age(places.copy(config)) < 5
    before = os.stat(f"{places.copy(config)}/{places.FRESH}").st_mtime_ns
    change(master(config))
    for _ in range(3):
        assert said in follower._look(keys, config)
    assert copied(config) == ALL
    assert os.stat(f"{places.copy(config)}/{places.FRESH}").st_mtime_ns == before


@pytest.mark.parametrize("change", [writable, fifo, too_large])
def test_what_could_not_be_read_is_not_taken_for_read_later(
    config: Config, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """An editor that leaves the file writable by a group would have a key removed on no host, and all of them fresh."""
    keys = following(config)
    change(master(config))
    for _ in range(3):
        with pytest.raises(Unreadable):
            keys.look()
    now = boottime()
    monkeypatch.setattr(key_copy, "boottime", lambda: now + 60)
    for _ in range(3):
        with pytest.raises(Unreadable):
            keys.look()


def test_what_could_not_be_written_is_written_later(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = following(config)
    master(config).write_text(f"{ALL}{ONE}-again\n")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    now = boottime()
    with monkeypatch.context() as broken:
        broken.setattr(files, "replace", full)
        for later in (0, 0, 60):
            broken.setattr(key_copy, "boottime", lambda later=later: now + later)
            with pytest.raises(OSError, match="No space"):
                keys.look()
    keys.look()
    assert copied(config) == f"{ALL}{ONE}-again\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_a_master_of_another_account_is_not_copied(config: Config) -> None:
    keys = following(config)
    master(config).write_text("")
    os.chown(master(config), 65534, 65534)
    with pytest.raises(Unreadable, match="does not belong to root"):
        keys.look()
    assert copied(config) == ALL


@pytest.mark.parametrize("where", ["", "..", "link"])
def test_a_master_that_others_can_replace_is_not_copied(config: Config, tmp_path: Path, where: str) -> None:
    """By the directory that it is in, one above, or one that has a link on the way to it."""
    far = tmp_path / "links"
    far.mkdir()
    (far / "cluster").symlink_to(tmp_path / "store" / "cluster")
    shared = tmp_path / "store" / "cluster"
    shared.parent.mkdir()
    shared.mkdir()
    (shared / "authorized_keys").write_text(ALL)
    weak = {"": shared, "..": shared.parent, "link": far}[where]
    there = config.replace(cluster_directory=str(far / "cluster" if where == "link" else shared))
    keys = following(there)
    (shared / "authorized_keys").write_text(f"{ALL}{ONE}-mine\n")
    weak.chmod(0o777)
    for _ in range(3):
        with pytest.raises(Unreadable, match=f"{weak} is writable by others.*chmod go-w"):
            keys.look()
    assert copied(there) == ALL
    weak.chmod(0o1777)
    keys.look()
    assert copied(there) != ALL, "only owners replace what is theirs"


def test_an_unchanged_file_is_not_read_again_and_not_written(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_copy, "_SETTLED_SECONDS", -1.0)
    keys = following(config)
    before = os.stat(config.paths_authorized_keys)
    monkeypatch.setattr(key_copy, "_checked", lambda path: pytest.fail(f"{path} is read"))
    keys.look()
    assert os.stat(config.paths_authorized_keys).st_ino == before.st_ino


def test_a_copy_that_somebody_changed_is_made_anew(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_copy, "_SETTLED_SECONDS", -1.0)
    keys = following(config)
    Path(config.paths_authorized_keys).write_text(ONE)
    keys.look()
    assert copied(config) == ALL
    Path(config.paths_authorized_keys).unlink()
    keys.look()
    assert copied(config) == ALL


def test_a_copy_that_is_old_lets_nothing_begin(config: Config) -> None:
    with pytest.raises(Misconfigured, match="since this host started"):
        mirror.require_fresh(config)
    follower._look(KeyCopy(config), config)
    mirror.require_fresh(config)
    mark = f"{places.copy(config)}/{places.FRESH}"
    long_ago = os.stat(mark).st_mtime_ns - 11_000_000_000
    os.utime(mark, ns=(long_ago, long_ago))
    with pytest.raises(Misconfigured, match="for 11 s"):
        mirror.require_fresh(config)
    mirror.require_fresh(config.replace(cluster_directory=""))


def test_a_host_that_is_alone_or_would_overwrite_the_master_does_not_follow(config: Config) -> None:
    with pytest.raises(Misconfigured, match="in no cluster"):
        follower.run("", config.replace(cluster_directory=""))
    with pytest.raises(Misconfigured, match="master itself"):
        follower.run("", config.replace(paths_authorized_keys=places.keys(config)))
