"""What is replaced on the host under a live session: it goes on, and what starts then sees what is new.

The gateway here has a copy of the host's /etc and an overlay of its /usr in a mount namespace of its own, so nothing of
this machine is replaced.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.session import channel
from tests.harness import Gateway, Person, Result, bindir, eventually, need_root, open_files, run
from tests.life import session, unlock
from tests.running import UnlockedProject

ROOT = Path(__file__).resolve().parents[2]

HOST = """
mount -t tmpfs none "$1"
mkdir "$1/etc" "$1/upper" "$1/work"
cp -a /etc/. "$1/etc/"
mount -t overlay none -o "lowerdir=/usr,upperdir=$1/upper,workdir=$1/work" /usr
mount --bind "$1/etc" /etc
cd / && shift && exec "$@"
"""
"""Where `$1` is an empty directory."""


class Host:
    """The host as the gateway sees it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.root = Path(f"/proc/{gateway.pid}/root")

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def rename_over(self, path: str, content: bytes | None = None, mode: int = 0o644) -> None:
        """As a package manager does. Without `content`, a copy of what is there."""
        draft = self.path(f"{path}.dpkg-new")
        if content is None:
            shutil.copy2(self.path(path), draft)
        else:
            draft.write_bytes(content)
            draft.chmod(mode)
        before = self.path(path).stat().st_ino
        draft.rename(self.path(path))
        assert self.path(path).stat().st_ino != before


@pytest.fixture(scope="module")
def tools(place: Path) -> Path:
    """What `run.paths` names on the gateway below: the directory `kit` and the file `tool`."""
    directory = place / "replaced-tools"
    (directory / "kit").mkdir(parents=True)
    (directory / "kit" / "version").write_text("1")
    (directory / "tool").write_text("1")
    return directory


@pytest.fixture(scope="module")
def at(ground: Path, tools: Path) -> Iterator[UnlockedProject]:
    need_root()
    (ground / "host").mkdir()
    prefix = ("unshare", "--mount", "sh", "-euc", HOST, "sh", str(ground / "host"))
    settings = {"run.paths": f"{tools}/kit,{tools}/tool,{ground}/own", "audit.syslog": f"{tools}/log"}
    (ground / "own").mkdir()
    gateway = Gateway(ground / "gw", settings, prefix=prefix).start()
    who = gateway.person("busy")
    who.new("myproj")
    with session(who) as (held, shared):
        unlock(who, "myproj", shared)
        yield UnlockedProject(gateway, who, "myproj", held, shared)
    eventually(lambda: not gateway.leftovers())
    gateway.stop()


@pytest.fixture
def host(at: UnlockedProject) -> Host:
    return Host(at.gateway)


def read(at: UnlockedProject, path: str) -> str:
    """What a program that starts now reads there."""
    result = at.run("cat", path)
    assert result.status == 0, result
    return result.out


def git(at: UnlockedProject, *words: str) -> Result:
    ssh = " ".join(["ssh", *at.person.options, *at.shared])
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    return run(["env", f"GIT_SSH_COMMAND={ssh}", "HOME=/nonexistent", "git", *identity, *words])


def use_everything(at: UnlockedProject, directory: Path) -> None:
    """Every kind of program that a session starts."""
    (directory / "file").write_text("content")
    assert at.run("cp", "/dev/stdin", "made", stdin="made").status == 0
    assert at.terminal("true").wait() == 0
    assert at.person.sftp(f"put {directory}/file {at.project}/", f"get {at.project}/made {directory}/").status == 0
    for tool in ("scp", "rsync"):
        copied = at.person.copy(tool, f"{directory}/file", f"gateway:{at.project}/by-{tool}")
        assert copied.status == 0, copied
    assert at.run("cat", "by-scp", "by-rsync").out == "contentcontent"
    assert at.run("git", "init", "-q", "--bare", "-b", "main", "r.git").status == 0
    cloned = git(at, "clone", "-q", f"gateway:{at.project}/r.git", str(directory / "clone"))
    assert cloned.status == 0, cloned


def test_everything_goes_on_after_a_library_was_upgraded(at: UnlockedProject, host: Host, tmp_path: Path) -> None:
    """ldconfig renames a new /etc/ld.so.cache over the old one, every time."""
    use_everything(at, tmp_path)
    for name in ("once", "again"):
        cache = host.path("/etc/ld.so.cache").read_bytes() + name.encode()
        host.rename_over("/etc/ld.so.cache", cache)
        (tmp_path / name).mkdir()
        use_everything(at, tmp_path / name)
        assert at.run("tail", "-c", str(len(name)), "/etc/ld.so.cache").out == name
        direct = ("-s", f"sftp {at.project}/")  # the project's own sftp-server
        assert at.person.sftp(f"get /etc/ld.so.cache {tmp_path}/cache", extra=direct).status == 0
        assert (tmp_path / "cache").read_bytes() == cache


@pytest.mark.parametrize("name", ["hosts", "services", "protocols"])
def test_a_program_sees_the_file_that_is_there_when_it_starts(at: UnlockedProject, host: Host, name: str) -> None:
    path = f"/etc/{name}"
    assert read(at, path) == host.path(path).read_text()
    host.rename_over(path, f"# {name}, replaced\n".encode())
    assert read(at, path) == f"# {name}, replaced\n"
    host.path(path).write_text("written in place\n")
    assert read(at, path) == "written in place\n"


@pytest.mark.parametrize("kind", ["gone", "dangling", "fifo", "directory"])
def test_what_is_no_file_for_a_moment_is_left_out(at: UnlockedProject, host: Host, kind: str) -> None:
    path = host.path("/etc/hosts")
    path.unlink()
    match kind:
        case "dangling":
            path.symlink_to("nowhere")
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
    try:
        assert at.run("test", "-e", "/etc/hosts").status == 1
    finally:
        subprocess.run(["rm", "-rf", str(path)], check=True)
        path.write_text("back\n")
    assert read(at, "/etc/hosts") == "back\n"


@pytest.mark.parametrize("directory", ["/etc/alternatives", "/etc/ssl/certs", "/etc/ssl"])
def test_a_directory_that_is_replaced_is_followed(at: UnlockedProject, host: Host, directory: str) -> None:
    inside = "/etc/alternatives" if directory == "/etc/alternatives" else "/etc/ssl/certs"
    host.path(inside).mkdir(parents=True, exist_ok=True)
    host.path(directory).rename(host.path(f"{directory}.old"))
    host.path(inside).mkdir(parents=True)
    (host.path(inside) / "mark").write_text(directory)
    shutil.rmtree(host.path(f"{directory}.old"))
    assert at.run("ls", inside).out == "mark\n"
    shutil.rmtree(host.path(directory))
    assert at.run("test", "-e", inside).status == 1
    host.path(inside).mkdir(parents=True)


def test_paths_of_run_that_are_replaced_are_followed(at: UnlockedProject, tools: Path) -> None:
    shutil.rmtree(tools / "kit")
    (tools / "tool").unlink()
    assert at.run("ls", str(tools)).status == 2, "neither of them is there"
    (tools / "kit").mkdir()
    (tools / "kit" / "version").write_text("2")
    (tools / "2").write_text("2")
    (tools / "tool").symlink_to(tools / "2")
    assert at.run("cat", f"{tools}/kit/version", f"{tools}/tool").out == "22"
    assert at.run("ls", str(tools)).out == "kit\ntool\n", "and nothing beside them"


def test_a_path_beside_the_vaults_is_missing_once_it_is_replaced(at: UnlockedProject) -> None:
    own = at.gateway.root.parent / "own"
    (own / "file").write_text("1")
    assert read(at, f"{own}/file") == "1"
    shutil.rmtree(own)
    own.mkdir()
    assert at.run("ls", str(own)).status == 2


def test_a_syslog_that_is_started_anew_gets_copies_again(at: UnlockedProject, tools: Path) -> None:
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
            syslog.bind(str(tools / "log"))
            (tools / "log").chmod(0o666)
            syslog.settimeout(30)
            at.person.new("extra")
            unlock(at.person, "extra", at.shared)
            while b'"unlocked"' not in syslog.recv(65536):
                continue
        (tools / "log").unlink()
        assert at.person.ssh("unmount", "extra", extra=at.shared).status == 0
        assert at.person.ssh("rm", "extra", "--yes").status == 0


def test_the_time_zone_in_which_keys_expire_is_the_host_s_of_now(at: UnlockedProject, host: Host) -> None:
    host.path("/etc/localtime").unlink()
    host.path("/etc/localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    who = at.gateway.person("expiring")
    who.new("short")
    with who.mounted("short") as held:
        host.path("/etc/localtime").unlink()
        host.path("/etc/localtime").symlink_to("../usr/share/zoneinfo/Pacific/Kiritimati")
        until = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 3 + 14 * 3600))
        text = at.gateway.authorized_keys.read_text().splitlines()
        text[-1] = f'expiry-time="{until}" {text[-1]}'
        at.gateway.authorized_keys.write_text("\n".join(text) + "\n")
        assert held.wait(20).status == 75
    assert at.gateway.events("locked", project="short", reason="revoked")


PROGRAMS = [
    "gocryptfs",
    "bwrap",
    "git",
    "rsync",
    "scp",
    "prlimit",
    "setsid",
    "sh",
    Path("/usr/bin/python3").resolve().name,
]


def test_programs_are_upgraded_under_a_live_view(at: UnlockedProject, host: Host, tmp_path: Path) -> None:
    """The view that is there goes on, and what is started then is the new one."""
    at.person.new("later")
    waiting = at.hold("sh", "-c", "echo up; while ! test -e go; do sleep 0.1; done; echo still here")
    waiting.read_until("up")
    for name in (*PROGRAMS, "../lib/openssh/sftp-server"):
        path = f"/usr/bin/{name}"
        if host.path(path).exists():
            host.rename_over(path)
    host.path("/usr/bin/enc-test-tool").write_text("#!/bin/sh\necho old")
    host.rename_over("/usr/bin/enc-test-tool", b"#!/bin/sh\necho new", 0o755)
    assert at.run("enc-test-tool").out == "new\n"
    use_everything(at, tmp_path)
    unlock(at.person, "later", at.shared)
    assert at.person.ssh(*at.words("tee", "file", project="later"), stdin="kept").out == "kept"
    at.put("go", "")
    assert waiting.wait().out.endswith("still here\n")
    assert at.person.ssh("unmount", "later", extra=at.shared).status == 0
    assert at.gateway.events("locked", project="later", reason="unmount", forced=False)


COVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from gateway.base import syscalls
session = [os.open(f"/proc/{sys.argv[2]}/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
for namespace, kind in zip(session, (0x10000000, 0x20000)):
    syscalls.setns(namespace, kind)
for directory in sys.argv[3:]:
    syscalls.mount("none", directory, "tmpfs", 0)
"""
"""Mount an empty directory over others, for one session alone."""


def record_of(who: Person) -> dict[str, object]:
    """The record of their only session."""
    (record,) = (one for one in who.gateway.sessions() if one["fingerprint"] == who.fingerprint)
    return record


def without(file: Path, who: Person) -> str:
    """authorized_keys, but for their line."""
    blob = Path(f"{who.key}.pub").read_text().split()[1]
    return "".join(line for line in file.read_text().splitlines(keepends=True) if blob not in line)


def code_of_the_gateway() -> list[str]:
    """The directories that a session imports from."""
    words = [str(bindir() / "python"), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return [os.path.dirname(os.__file__), run(words).out.strip()]


def test_a_session_needs_no_file_of_python_or_ours_once_it_is_open(at: UnlockedProject, tmp_path: Path) -> None:
    """They may be another version's, or gone: for this session they are."""
    who = at.gateway.person("upgraded")
    for project in ("loads", "first", "second"):
        who.new(project)
    with session(who) as (held, shared):
        unlock(who, "loads", shared)
        ours = UnlockedProject(at.gateway, who, "first", held, shared)
        warden = int(str(record_of(who)["pid"]))
        eventually(lambda: any("inotify" in path for path in open_files(warden)))
        cover = [sys.executable, "-I", "-c", COVER, str(ROOT), str(warden), *code_of_the_gateway()]
        subprocess.run(cover, check=True)
        assert not [name for path in code_of_the_gateway() for name in os.listdir(f"/proc/{warden}/root{path}")]
        unlock(who, "first", shared)
        use_everything(ours, tmp_path)
        unlock(who, "second", shared)
        (directory,) = (at.gateway.root / "run" / "sessions").rglob(str(record_of(who)["id"]))
        with channel.connect(str(directory), "sock") as link:
            link.send(b'{"kind": "Close", "reason": }')
            assert link.recv(1) == b""
        assert who.ssh("unmount", "first", extra=shared).status == 0
        at.gateway.authorized_keys.write_text(without(at.gateway.authorized_keys, who))
        assert held.wait(20).status == 75
    assert at.gateway.events("locked", project="second", reason="revoked")
    assert not at.gateway.events("fault")
