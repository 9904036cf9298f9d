"""A principal's disk quota: `new`, `status` and a full view respect it, and a full view loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, eventually, need_root
from tests.life import session, sshfs, unlock
from tests.running import UnlockedProject, unlocked_project, unlocked_project_of

MEBI = 1 << 20
QUOTA = 24


@pytest.fixture(scope="module")
def small(ground: Path) -> Iterator[Gateway]:
    """A gateway on which everybody has QUOTA MiB."""
    gateway = Gateway(ground / "gw", {"limits.disk": str(QUOTA)}).start()
    yield gateway
    gateway.stop()


def on_disk(at: UnlockedProject) -> int:
    """What the vaults of `at` take, in bytes."""
    home = at.person.vault(at.project).parent
    return sum(path.lstat().st_blocks * 512 for path in home.rglob("*"))


def fill(at: UnlockedProject, name: str, mebibytes: int) -> str:
    """Write so much into a file; what was said about it."""
    return at.sh(f"head -c {mebibytes * MEBI} /dev/urandom > {name}").err


def test_a_full_view_says_so_keeps_what_it_has_and_takes_more_after_a_removal(small: Gateway) -> None:
    with unlocked_project(small, "hoarder") as at:
        assert fill(at, "kept", 10) == ""
        kept = at.run("sha256sum", "kept").out
        assert fill(at, "more", 30).endswith("No space left on device\n")
        assert (QUOTA - 1) * MEBI < on_disk(at) <= (QUOTA + 1) * MEBI
        assert "No space left on device" in at.sh("echo x > another").err
        assert "No space left on device" in at.run("mkdir", "directory").err
        assert at.run("ln", "kept", "link").status == 1
        assert "No space left on device" in at.sh("head -c 9000 /dev/zero >> kept").err
        assert at.run("sha256sum", "kept").out == kept
        assert at.sh("echo over | dd of=kept conv=notrunc status=none").status == 0, "what is there can be rewritten"
        new = at.person.ssh("new", "second", stdin=PASSPHRASE + "\n", extra=at.shared)
        assert new.status == 73
        said = "your projects use all of your quota of 24 MiB; delete something, or ask your sysadmin"
        assert said in new.err
        disk = at.person.ssh("status", "--json", extra=at.shared).json["disk"]
        assert isinstance(disk, dict)
        assert disk["limit"] == QUOTA * MEBI and disk["used"] > (QUOTA - 1) * MEBI
        assert at.run("rm", "more").status == 0
        eventually(lambda: fill(at, "again", 5) == "", 20)
        assert at.person.ssh("unmount", at.project, extra=at.shared).status == 0
        assert not [args for args in small.processes().values() if "disk/supervisor.py" in args]
    assert at.person.fsck(at.project).status == 0


def test_holes_are_free_until_they_are_filled_and_counted_then(small: Gateway) -> None:
    with unlocked_project(small, "driller") as at:
        assert at.run("truncate", "-s", "1G", "sparse").err == ""
        before = on_disk(at)
        assert at.sh("echo x | dd of=sparse bs=1M seek=500 conv=notrunc status=none").err == "", "512 MiB of hole"
        assert on_disk(at) < before + MEBI
        assert at.run("fallocate", "-o", "900M", "-l", "10M", "sparse").err == ""
        assert _is_full(
            at.sh(f"head -c {40 * MEBI} /dev/urandom | dd of=sparse bs=1M conv=notrunc iflag=fullblock").err
        )
        assert (QUOTA - 1) * MEBI < on_disk(at) <= (QUOTA + 1) * MEBI
        filled = at.sh("head -c 9M /dev/urandom | dd of=sparse bs=1M seek=900 conv=notrunc iflag=fullblock status=none")
        assert filled.err == "", "what was reserved before is not charged again"
        assert on_disk(at) <= (QUOTA + 1) * MEBI


def test_df_in_a_view_tells_of_the_quota(small: Gateway, tmp_path: Path) -> None:
    with unlocked_project(small, "looker") as at:
        words = ("df", "-k", "--output=size,used,avail", ".")
        size, used, free = map(int, at.run(*words).out.split()[-3:])
        assert size == QUOTA * 1024 and used < 1024 and free == size - used
        assert fill(at, "f", 10) == ""
        _, used, free = map(int, at.run(*words).out.split()[-3:])
        assert 10 * 1024 <= used < 11 * 1024 and free == size - used
        assert _is_full(fill(at, "g", 30))
        assert int(at.run(*words).out.split()[-1]) < 1024
        assert at.run("rm", "f").status == 0
        eventually(lambda: int(at.run(*words).out.split()[-1]) >= 10 * 1024, 20)
        with sshfs(at.person, at.project, tmp_path / "mnt", *at.shared) as mounted:
            told = os.statvfs(mounted)
            assert told.f_blocks * told.f_frsize == QUOTA * MEBI


def test_two_sessions_that_write_at_once_have_one_quota(small: Gateway) -> None:
    with unlocked_project(small, "twin") as one, unlocked_project_of(one.person, "other") as two:
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda at: fill(at, "f", 20), (one, two)))
        assert any(map(_is_full, said))
        assert (QUOTA - 1) * MEBI < on_disk(one) <= (QUOTA + 1) * MEBI


def test_the_quota_is_for_all_projects_together(small: Gateway) -> None:
    person = small.person("spreader")
    person.new("one")
    person.new("two")
    with session(person) as (_, shared):
        for name in ("one", "two"):
            unlock(person, name, shared)
        words = ("--", "sh", "-c", f"'head -c {14 * MEBI} /dev/zero > f'")
        assert person.ssh("run", "one", *words, extra=shared).status == 0
        eventually(lambda: _is_full(person.ssh("run", "two", *words, extra=shared).err), 20)
    with unlocked_project(small, "neighbour") as other:
        assert fill(other, "f", 14) == ""


def _is_full(said: str) -> bool:
    return "No space left on device" in said


def test_files_without_content_count_as_well(small: Gateway) -> None:
    """Or one could take every inode of the disk, and nobody else would make a file any more."""
    with unlocked_project(small, "many") as at:
        assert at.sh("mkdir d; cd d; seq 4000 | xargs touch").status == 0
        disk = at.person.ssh("status", "--json", extra=at.shared).json["disk"]
        assert isinstance(disk, dict) and disk["used"] > 4000 * 4096
        assert "No space left on device" in at.sh("cd d; seq 4001 9000 | xargs touch").err


def test_a_transfer_is_told_as_well(small: Gateway, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(30 * MEBI))
    with unlocked_project(small, "uploader") as at:
        assert at.person.sftp(f"put {tmp_path}/big {at.project}/big", extra=at.shared).status != 0
        assert at.person.sftp(f"ls {at.project}", extra=at.shared).status == 0


def test_without_its_meter_a_view_takes_nothing_new(small: Gateway) -> None:
    need_root()
    with unlocked_project(small, "cutter") as at:
        assert fill(at, "f", 1) == ""
        before = at.run("sha256sum", "f").out
        for pid, args in small.processes().items():
            if "disk/supervisor.py" in args:
                os.kill(pid, signal.SIGKILL)
        assert fill(at, "g", 1) != ""
        assert at.run("sha256sum", "f").out == before
        assert at.person.ssh("unmount", at.project, extra=at.shared).status == 0
    assert at.person.fsck(at.project).status == 0


def test_without_a_quota_there_is_no_meter(gateway: Gateway) -> None:
    with unlocked_project(gateway, "free") as at:
        assert not [args for args in gateway.processes().values() if "disk/supervisor.py" in args]
        assert "disk" not in at.person.ssh("status", "--json", extra=at.shared).json
