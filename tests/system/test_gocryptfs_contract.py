"""What gateway/vault/gocryptfs.py relies on, asked of the real gocryptfs.

Run as a file, this module is the inside of a sandbox: it mounts FUSE as the warden does and serves one view.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway import errors
from gateway.base import process, syscalls
from gateway.vault import gocryptfs
from tests.harness import need

ROOT = Path(__file__).resolve().parents[2]
SECRET = b"correct horse battery staple"


def pipe(content: bytes) -> int:
    """The reading end of a pipe that holds `content`."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


def make(home: Path, secret: bytes = SECRET + b"\n") -> tuple[Path, Path]:
    """A new `cipher` and its config in `home`."""
    cipher, config = home / "cipher", home / "slot.conf"
    cipher.mkdir()
    gocryptfs.create(str(cipher), str(config), pipe(secret))
    return cipher, config


pytestmark = pytest.mark.alone
"""Its sandbox has all mounts of the host in it, of which another test may have made one that is dead."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sound vault, to copy from."""
    home = tmp_path_factory.mktemp("contract")
    make(home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def serve(home: Path, secret: bytes = SECRET + b"\n") -> dict[str, object]:
    """What came of serving `home` in a sandbox: `ready`, `status`, and what the view showed."""
    (home / "view").mkdir(exist_ok=True)
    words = ["bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-add", "CAP_SYS_ADMIN"]
    words += ["--dev-bind", "/", "/", "--setenv", "PYTHONPATH", str(ROOT), "--chdir", "/"]
    words += [sys.executable, "-B", str(Path(__file__).resolve()), str(home)]
    done = subprocess.run(words, input=secret, capture_output=True, timeout=60, check=False)
    need(b"setting up uid map" not in done.stderr and b"new namespace" not in done.stderr, "user namespaces")
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_create_writes_one_config_where_it_is_told(made: Path) -> None:
    assert [path.name for path in (made / "cipher").iterdir()] == ["gocryptfs.diriv"]
    config = json.loads((made / "slot.conf").read_text())
    assert config["ScryptObject"]["N"] == 1 << 16
    assert set(config["FeatureFlags"]) == {"GCMIV128", "HKDF", "DirIV", "EMENames", "LongNames", "Raw64"}
    assert SECRET.decode() not in (made / "slot.conf").read_text()


def test_create_takes_an_empty_secret_for_9(tmp_path: Path) -> None:
    with pytest.raises(errors.CannotCreate, match="passphrase is empty"):
        make(tmp_path, b"\n")


def test_create_in_a_directory_that_is_not_empty_is_refused(home: Path) -> None:
    with pytest.raises(errors.CannotCreate, match="failed with exit status 6"):
        gocryptfs.create(str(home / "cipher"), str(home / "other.conf"), pipe(SECRET + b"\n"))


def test_a_view_says_ready_serves_and_ends_with_0_when_it_is_unmounted(home: Path) -> None:
    answer = serve(home)
    assert answer == {"ready": True, "status": 0, "read_back": "plain", "owner_is_me": True}
    assert len(list((home / "cipher").iterdir())) == 2
    assert serve(home)["read_back"] == "plain"


REFUSED = {
    "wrong secret": (SECRET + b"!\n", "", errors.WrongSecret, 12),
    "empty secret": (b"\n", "", errors.WrongSecret, 9),
    "config missing": (SECRET, "rm slot.conf", errors.DamagedVault, 11),
    "config empty": (SECRET, ": >slot.conf", errors.DamagedVault, 11),
    "config truncated": (SECRET, "head -c 200 slot.conf >t; mv t slot.conf", errors.DamagedVault, 11),
    "config of something else": (SECRET, "echo '[]' >slot.conf", errors.DamagedVault, 11),
    "config of another version": (SECRET, "sed -i 's/: 2/: 3/' slot.conf", errors.DamagedVault, 27),
    "config with an unknown flag": (SECRET, "sed -i s/HKDF/OTHER/ slot.conf", errors.DamagedVault, 27),
    "master key changed": (SECRET, "sed -i 's/Key.: .../&AAAA/' slot.conf", errors.WrongSecret, 12),
    "no cipher": (SECRET, "rm -r cipher", errors.DamagedVault, 6),
}


@pytest.mark.parametrize(("secret", "damage", "kind", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_ends_with_a_code_that_we_know(
    home: Path, secret: bytes, damage: str, kind: type[errors.EncError], code: int
) -> None:
    subprocess.run(["sh", "-euc", damage], cwd=home, check=True)
    answer = serve(home, secret)
    assert answer == {"ready": False, "status": code}
    assert type(gocryptfs.failure(code)) is kind


SECRETS = {
    "right": (SECRET, "", True),
    "wrong": (SECRET + b"!", "", False),
    "empty": (b"", "", False),
    "right, without a cipher": (SECRET, "rm -r cipher", False),
    "right, with a damaged config": (SECRET, "echo '[]' >slot.conf", False),
}


@pytest.mark.parametrize(("secret", "damage", "is_right"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_proven_without_a_mount_and_changes_nothing(
    home: Path, secret: bytes, damage: str, is_right: bool
) -> None:
    """What is no FUSE device takes its place."""
    subprocess.run(["sh", "-euc", damage], cwd=home, check=True)
    before = sorted((str(path), path.stat().st_mtime_ns) for path in home.rglob("*"))
    fds = [os.open(home / "slot.conf", os.O_RDONLY), pipe(secret + b"\n"), os.open("/dev/null", os.O_RDWR)]
    try:
        status, _ = process.run(gocryptfs.mount_argv(str(home / "cipher"), *fds), fds)
    finally:
        for fd in fds:
            os.close(fd)
    assert gocryptfs.is_proof(status) == is_right
    assert sorted((str(path), path.stat().st_mtime_ns) for path in home.rglob("*")) == before


def test_codes_that_we_do_not_know_are_faults() -> None:
    for code in (1, 2, 7, 10, 19, 23, 26, 137):
        assert type(gocryptfs.failure(code)) is errors.Internal


def _serve_once(home: Path) -> dict[str, object]:
    """Mount as gateway.warden.mounts does, serve until a file was written and read, unmount."""
    syscalls.drop_inheritable_capabilities()
    view = home / "view"
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fuse},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},max_read=131072"
    syscalls.mount("gocryptfs", str(view), "fuse.gocryptfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    reader, writer = os.pipe()
    config = _in_memory(home / "slot.conf")
    argv = gocryptfs.mount_argv(str(home / "cipher"), config, 0, fuse)
    pid = process.spawn(argv, {0: 0, 1: writer, 2: writer}, [fuse, config])
    for fd in (writer, fuse, config):
        os.close(fd)
    said = b""
    while gocryptfs.READY not in said and (chunk := _read(reader)):
        said += chunk
    if gocryptfs.READY not in said:
        return {"ready": False, "status": process.wait(pid, 10)}
    threading.Thread(target=lambda: all(iter(lambda: _read(reader), b"")), daemon=True).start()
    file = view / "file"
    view.stat()  # until somebody asks, the kernel takes the root for that of uid 0, whom we do not have: EACCES
    if not file.exists():
        file.write_text("plain")
    seen = {"read_back": file.read_text(), "owner_is_me": file.stat().st_uid == os.getuid()}
    syscalls.umount(str(view))
    return {"ready": True, "status": process.wait(pid, 10), **seen}


def _in_memory(path: Path) -> int:
    return process.memory_file(path.read_bytes()) if path.exists() else os.open(path.parent, os.O_PATH)


def _read(fd: int) -> bytes:
    return os.read(fd, 4096) if select.select([fd], [], [], 30)[0] else b""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_serve_once(Path(sys.argv[1]))))
