"""`enc new --from`: what goes into a project is what was in the directory, and what cannot be kept is told."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Result, bindir, eventually, need, run
from tests.laptop import Laptop, laptop


@pytest.fixture(scope="module")
def uploading(ground: Path) -> Iterator[Laptop]:
    gateway = Gateway(ground / "gw").start()
    with laptop(gateway.person("uploader")) as made:
        yield made
    gateway.stop()


def upload(mine: Laptop, project: str, source: str, **more: str) -> Result:
    words = [*mine.environment(**more), "enc", "new", project, "--json", "--from", source]
    done = subprocess.run(words, input=PASSPHRASE + "\n", capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def inside(mine: Laptop, project: str, script: str) -> str:
    """What a program in the project prints."""
    with mine.who.mounted(project):
        done = mine.who.ssh("run", project, "--", "sh", "-c", f"'{script}'")
    assert done.status == 0, done
    return done.out


def on_disk(mine: Laptop, project: str) -> int:
    """KiB that the files of the project's ciphertext take."""
    said = subprocess.run(["du", "-sk", mine.who.vault(project)], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0])


def test_holes_are_not_filled(uploading: Laptop, tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        file.write(b"begin")
        file.truncate(200 << 20)
    done = upload(uploading, "holes", str(tmp_path))
    assert done.status == 0, done.err
    assert on_disk(uploading, "holes") < 2000
    assert inside(uploading, "holes", "stat -c %s hole; head -c 5 hole").split() == [str(200 << 20), "begin"]


def test_a_file_with_many_links_is_one_file_or_it_is_told(uploading: Laptop, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(2 << 20))
    for number in range(9):
        (tmp_path / f"again{number}").hardlink_to(tmp_path / "one")
    done = upload(uploading, "links", str(tmp_path))
    assert done.status == 0, done
    refused = "does not keep hard links" in done.err
    links = inside(uploading, "links", "stat -c %h one").strip()
    assert links == ("1" if refused else "10")
    assert refused or on_disk(uploading, "links") < 4 << 10


@pytest.mark.parametrize("name", ["build-12:30", "-x", "--rsh=sh", "host::module", "a b'c\"d$(e)", "x [1].*"])
def test_the_name_of_the_directory_is_a_name(uploading: Laptop, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "f").write_text("x")
    project = f"name{abs(hash(name)) % 10**6}"
    words = [*uploading.environment(), "enc", "new", project, "--json", f"--from={name}"]
    done = subprocess.run(words, input=PASSPHRASE + "\n", capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done
    assert Result(0, done.stdout, "").json["copied"] == 1


@pytest.mark.parametrize("name", ["x y", "it's", "'", "two''quotes 'in' \"it\"", "back\\slash", "100%d", "-e sh"])
def test_so_is_that_of_the_runtime_directory_and_of_the_home(uploading: Laptop, tmp_path: Path, name: str) -> None:
    (tmp_path / "f").write_text("x")
    runtime, home = uploading.runtime / name, uploading.home / name
    for path in (runtime, home):
        path.mkdir(mode=0o700)
    project = f"runtime{abs(hash(name)) % 10**6}"
    done = upload(uploading, project, str(tmp_path), XDG_RUNTIME_DIR=str(runtime), HOME=str(home))
    assert done.status == 0, done
    assert done.json["copied"] == 1
    assert uploading.enc("logout", XDG_RUNTIME_DIR=str(runtime), HOME=str(home)).status in (0, 69)


def test_what_rsync_cannot_copy_is_skipped_with_a_word(
    uploading: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    with socket.socket(socket.AF_UNIX) as daemon, monkeypatch.context() as inside_git:
        inside_git.chdir(tmp_path / ".git")  # the whole path may be too long for a socket
        daemon.bind("fsmonitor--daemon.ipc")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f").write_text("x")
    done = upload(uploading, "sockets", str(tmp_path))
    assert done.status == 0, done
    assert (done.json["copied"], done.json["skipped"]) == (2, 2)
    assert ".git/fsmonitor--daemon.ipc, pipe" in done.err
    assert inside(uploading, "sockets", "find . | sort").split() == [".", "./.git", "./f"]


def test_rsync_does_not_listen_to_the_user_s_settings(uploading: Laptop, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    lines = ("-t --no-times --verbose", "--checksum --size-only --stats", "-r -r --exclude=*")
    (uploading.home / ".popt").write_text("".join(f"rsync alias {line}\n" for line in lines))
    hostile = {"RSYNC_PROTECT_ARGS": "1", "RSYNC_RSH": "false", "RSYNC_ICONV": "UTF-8,LATIN1", "RSYNC_OLD_ARGS": "2"}
    try:
        done = upload(uploading, "settings", str(tmp_path), **hostile)
    finally:
        (uploading.home / ".popt").unlink()
    assert done.status == 0 and done.json["copied"] == 1, done
    assert inside(uploading, "settings", "cat f") == "x"


def test_times_are_kept_to_the_nanosecond_and_what_is_beyond_is_told(uploading: Laptop, tmp_path: Path) -> None:
    (tmp_path / "exact").write_text("x")
    os.utime(tmp_path / "exact", ns=(0, 1_234_567_890_123_456_789))
    (tmp_path / "old").write_text("x")
    os.utime(tmp_path / "old", ns=(0, -300_000_000 * 10**9))
    done = upload(uploading, "times", str(tmp_path))
    assert done.status == 0, done
    assert "1 times are before 1970 or after 2106" in done.err
    said = inside(uploading, "times", "stat -c %.9Y exact old").split()
    assert said == ["1234567890.123456789", "-300000000.000000000"]


def test_a_time_that_the_gateway_s_disk_cannot_keep_is_no_difference(uploading: Laptop) -> None:
    need(os.path.isdir("/dev/shm"), "no tmpfs")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as source:
        Path(source, "far").write_text("x")
        os.utime(Path(source, "far"), (16_725_225_600, 16_725_225_600))  # 2500
        done = upload(uploading, "far", source)
    assert done.status == 0, done
    assert "1 times are before 1970 or after 2106" in done.err


def test_modes_attributes_and_long_names_are_kept(uploading: Laptop, tmp_path: Path) -> None:
    need(os.geteuid() == 0, "nobody else may read a file of mode 0")
    names = {"zero": 0, "n" * 255: 0o640, "only write [x]": 0o200}
    for name, mode in names.items():
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    os.setxattr(tmp_path / ("n" * 255), "user.note", b"hello")
    (tmp_path / "readonly").mkdir()
    (tmp_path / "readonly" / "in").write_text("deep")
    (tmp_path / "readonly").chmod(0o555)
    done = upload(uploading, "modes", str(tmp_path))
    assert done.status == 0, done
    assert "copied, but not compared" in done.err and "only write [x], zero" in done.err
    said = inside(uploading, "modes", "stat -c %a * | sort -n; chmod 600 zero; cat readonly/in zero")
    zero = "200" if "gave another mode" in done.err else "0"  # rsync 3.5 needs a /proc for that
    assert said.split() == [zero, "200", "555", "640", "deepx"]


def test_what_cannot_be_copied_is_told_before_anything_is_made(uploading: Laptop, tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=at)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    done = upload(uploading, "toolong", str(tmp_path))
    assert done.status == 66 and "4000 bytes" in done.err, done
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)
    (tmp_path / "closed").mkdir(0)
    closed = upload(uploading, "toolong", str(tmp_path))
    assert closed.status == 66 and "closed" in closed.err, closed
    assert uploading.who.ssh("fsck", "toolong", stdin="x\n").status == 66, "no project was made"


def test_a_change_during_the_copy_is_found(uploading: Laptop, tmp_path: Path) -> None:
    """Also one that changes neither size nor time. This user's rsync waits for it between copying and comparing: it can
    itself change nothing.
    """
    (tmp_path / "source").mkdir()
    changed = tmp_path / "source" / "f"
    changed.write_text("one")
    (tmp_path / "bin").mkdir()
    waiting = tmp_path / "bin" / "rsync"
    waiting.write_text(
        f'#!/bin/sh\ncase "$*" in *--dry-run*) until grep -q two {changed}; do sleep 0.05; done; esac\n'
        'exec /usr/bin/rsync "$@"\n'
    )
    waiting.chmod(0o755)
    path = f"{waiting.parent}:{bindir()}:{os.environ['PATH']}"
    with ThreadPoolExecutor() as other:
        uploaded = other.submit(upload, uploading, "changed", str(tmp_path / "source"), PATH=path)
        words = f"{waiting} .*--dry-run"
        eventually(lambda: run(["pgrep", "-f", words]).status == 0)
        before = changed.stat()
        changed.write_text("two")
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
        done = uploaded.result()
    assert done.status == 73 and "1 files differ" in done.err, done
