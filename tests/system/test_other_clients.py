"""Clients other than OpenSSH's: those of Debian themselves, and the requests that WinSCP and FileZilla send."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, Result, alive, eventually, need, run
from tests.stock import Speaker, Two, older_key_exchange, sessions, sshfs

BLOB = bytes(range(256)) * 12_000  # 3 MB: many packets, read and written ahead


@pytest.fixture(scope="module")
def gateway(gateway_as_shipped: Gateway) -> Gateway:
    return gateway_as_shipped


@pytest.fixture(scope="module", params=[("p",), ("p", "q")], ids=["one session", "two sessions"])
def who(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Two]:
    projects = request.param
    with sessions(gateway.person(f"other{len(projects)}"), projects) as made:
        yield made


@pytest.fixture(scope="module")
def older(gateway: Gateway) -> Iterator[int]:
    with older_key_exchange(gateway) as port:
        yield port


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "blob").write_bytes(BLOB)
    tree = tmp_path / "tree" / "sub dir" / "deep"
    tree.mkdir(parents=True)
    (tree / "é [1].txt").write_text("odd\n")
    os.utime(tree / "é [1].txt", (1_000_000_000, 1_000_000_000))
    return tmp_path


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ------------------------------------------------------------------ rclone


def rclone(who: Two, port: int, *words: str) -> Result:
    """rclone with :sftp: for the gateway."""
    need(Path("/usr/bin/rclone").exists(), "rclone")
    login = {"host": "127.0.0.1", "port": port, "user": who.person.gateway.ready["account"]}
    login |= {"key-file": who.person.key, "shell-type": "none"}
    options = [f"--sftp-{key}={value}" for key, value in login.items()]
    return run(["rclone", "--config=/dev/null", "--retries=1", "--low-level-retries=1", *options, *words])


@pytest.mark.parametrize("path", ["p", "/p", "/projects/p"])
def test_rclone_copies_syncs_checks_and_moves(who: Two, older: int, here: Path, path: str) -> None:
    remote = f":sftp:{path}/cloned"
    for words in (
        ("copy", str(here), remote),
        ("check", "--download", str(here), remote),
        ("moveto", f"{remote}/blob", f"{remote}/new/blob 2"),
        ("copy", remote, str(here / "back")),
    ):
        done = rclone(who, older, *words)
        assert done.status == 0, done
    kept = content(here / "tree")
    assert content(here / "back" / "tree") == kept
    assert (here / "back" / "new" / "blob 2").read_bytes() == BLOB
    assert (here / "back/tree/sub dir/deep/é [1].txt").stat().st_mtime == 1_000_000_000
    (here / "empty").mkdir()
    assert rclone(who, older, "sync", str(here / "empty"), remote).status == 0
    assert rclone(who, older, "lsf", "-R", remote).out == ""
    assert rclone(who, older, "purge", remote).status == 0
    assert who.sh("p", "ls -A").out.split()[:1] == [".hidden.c"]


def test_rclone_lists_the_projects_and_is_told_of_a_locked_one(who: Two, older: int) -> None:
    found = rclone(who, older, "lsf", ":sftp:").out.split()
    assert found in (["p/"], ["p/", "q/"])
    for path in ("locked", "locked/sub", "nosuch"):
        done = rclone(who, older, "lsf", f":sftp:{path}")
        assert done.status != 0, done
        assert ("permission denied" in done.err.lower()) == path.startswith("locked"), done


# ------------------------------------------------------------------ lftp


def lftp(who: Two, *commands: str) -> Result:
    need(Path("/usr/bin/lftp").exists(), "lftp")
    program = shlex.join(["ssh", "-a", "-x", *who.person.options])
    first = f'set sftp:connect-program "{program}"; set net:max-retries 1; set cmd:fail-exit yes; open sftp://gateway'
    return run(["env", "HOME=/nonexistent", "lftp", "-c", "; ".join([first, *commands])])


@pytest.mark.parametrize("path", ["p", "/p", "/projects/p"])
def test_lftp_puts_gets_mirrors_and_removes(who: Two, here: Path, path: str) -> None:
    done = lftp(
        who,
        f"lcd {here}",
        f"cd {path}",
        "mkdir lf",
        "put blob -o lf/blob",
        "mirror -R tree lf/tree",
        "mv lf/blob lf/moved",
        "chmod 600 lf/moved",
        "pget -n 3 lf/moved -o back",
        "mirror lf/tree mirrored",
        "ls lf",
        "rm -r lf",
        "ls",
    )
    assert done.status == 0, done
    assert (here / "back").read_bytes() == BLOB
    assert content(here / "mirrored") == content(here / "tree")
    assert "moved" in done.out and done.out.rstrip().endswith("x [1].c")


def test_lftp_shows_why_a_project_is_not_there(who: Two) -> None:
    done = lftp(who, "get locked/x")
    assert done.status != 0
    assert "locked is not unlocked; `mount locked` unlocks it" in done.err, done


# ------------------------------------------------------------------ Python's clients

PARAMIKO = """
import os, sys, paramiko
host, port, user, key, work = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
sftp = client.open_sftp()
assert "p" in sftp.listdir(), sftp.listdir()
assert sftp.normalize(".") == "/projects"
for top in ("p", "/p", "/projects/p"):
    sftp.mkdir(top + "/pm", 0o755)
    sftp.put(work + "/blob", top + "/pm/blob", confirm=True)
    sftp.get(top + "/pm/blob", work + "/back")
    assert open(work + "/back", "rb").read() == open(work + "/blob", "rb").read()
    sftp.rename(top + "/pm/blob", top + "/pm/moved")
    with sftp.open(top + "/pm/moved", "r+") as file:
        file.seek(100)
        file.write(b"middle")
        file.seek(100)
        assert file.read(6) == b"middle"
        file.truncate(200)
        assert file.stat().st_size == 200
    with sftp.open(top + "/pm/moved", "a") as file:
        file.write(b"end")
    assert sftp.stat(top + "/pm/moved").st_size == 203
    sftp.utime(top + "/pm/moved", (1e9, 1e9))
    sftp.chmod(top + "/pm/moved", 0o640)
    found = sftp.listdir_attr(top + "/pm")[0]
    assert (found.filename, found.st_mtime, found.st_mode & 0o777) == ("moved", 10**9, 0o640), found
    sftp.symlink("moved", top + "/pm/link")
    assert sftp.readlink(top + "/pm/link") == "moved"
    sftp.posix_rename(top + "/pm/link", top + "/pm/other")
    sftp.chdir(top + "/pm")
    assert sorted(sftp.listdir()) == ["moved", "other"]
    sftp.chdir(None)
    sftp.remove(top + "/pm/other")
    sftp.remove(top + "/pm/moved")
    sftp.rmdir(top + "/pm")
for path, kind in (("locked/x", PermissionError), ("nosuch/x", FileNotFoundError)):
    try:
        sftp.stat(path)
    except kind as error:
        print(error)
    else:
        raise SystemExit("no error")
stdin, stdout, stderr = client.exec_command("run p -- cat")
stdin.write("through run\\n")
stdin.channel.shutdown_write()
print(stdout.read().decode(), stdout.channel.recv_exit_status())
stdin, stdout, stderr = client.exec_command("run locked -- true")
print(stdout.channel.recv_exit_status(), stderr.read().decode())
"""

TOLD = "enc: locked is not unlocked; `mount locked` unlocks it"
UNKNOWN = "enc: you have no project nosuch; `ls` lists your projects"


def test_paramiko(who: Two, older: int, here: Path) -> None:
    need(Path("/usr/lib/python3/dist-packages/paramiko").exists(), "python3-paramiko")
    person = who.person
    words = ["127.0.0.1", str(older), str(person.gateway.ready["account"]), str(person.key), str(here)]
    done = run(["/usr/bin/python3", "-W", "ignore", "-c", PARAMIKO, *words])
    assert done.status == 0, done
    assert TOLD in done.out and UNKNOWN in done.out, done
    assert done.out.splitlines()[2:] == ["through run", " 0", f"69 {TOLD}", ""]


ASYNCSSH = """
import asyncio, sys, asyncssh
host, port, user, key, work = sys.argv[1:]
async def main():
    async with asyncssh.connect(host, int(port), username=user, client_keys=[key], known_hosts=None, config=None,
                                agent_path=None) as link, link.start_sftp_client() as sftp:
        assert await sftp.realpath(".") == "/projects"
        assert "p" in await sftp.listdir(".")
        for top in ("p", "/p", "/projects/p"):
            await sftp.makedirs(top + "/as/deep")
            await sftp.put([work + "/blob", work + "/tree"], top + "/as", recurse=True, preserve=True)
            await sftp.get(top + "/as", work + "/got", recurse=True, preserve=True)
            assert open(work + "/got/blob", "rb").read() == open(work + "/blob", "rb").read()
            found = await sftp.glob(top + "/*.c")
            assert len(found) == 4, found
            async with sftp.open(top + "/as/blob", "rb+") as file:
                await file.write(b"begin")
                assert (await file.stat()).size == 3072000
            await sftp.posix_rename(top + "/as/blob", top + "/as/moved")
            if hasattr(sftp, "remote_copy") and sftp.supports_remote_copy:
                await sftp.remote_copy(top + "/as/moved", top + "/as/copied")
                assert await sftp.getsize(top + "/as/copied") == 3072000
            await sftp.rmtree(top + "/as")
            assert not await sftp.exists(top + "/as")
            await asyncssh.scp((link, top + "/name"), work + "/scp")
            assert open(work + "/scp").read() == "p\\n"
            await asyncssh.scp(work + "/tree", (link, top + "/scp"), recurse=True, preserve=True)
            await sftp.rmtree(top + "/scp")
        for path in ("locked/x", "nosuch/x"):
            try:
                await sftp.stat(path)
            except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile) as error:
                print(type(error).__name__, error.reason)
        try:
            await asyncssh.scp((link, "locked/x"), work)
        except asyncssh.Error as error:
            print(error.reason)
        done = await link.run("run p -- cat", input="through run")
        print(done.exit_status, done.stdout)
asyncio.run(main())
"""


def test_asyncssh(who: Two, older: int, here: Path) -> None:
    need(importlib.util.find_spec("asyncssh") is not None, "asyncssh")
    person = who.person
    words = ["127.0.0.1", str(older), str(person.gateway.ready["account"]), str(person.key), str(here)]
    done = run([sys.executable, "-c", ASYNCSSH, *words])
    assert done.status == 0, done
    lines = done.out.splitlines()
    assert lines[:2] == [f"SFTPPermissionDenied {TOLD}", f"SFTPNoSuchFile {UNKNOWN}"], done
    assert TOLD in lines[2]
    assert lines[3:] == ["0 through run"]


# ------------------------------------------------------------------ what WinSCP and FileZilla send

INIT, OPEN, CLOSE, READ, WRITE, LSTAT, SETSTAT, FSETSTAT = 1, 3, 4, 5, 6, 7, 9, 10
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME = 11, 12, 13, 14, 15, 16, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE = 0, 1, 2, 3, 4
NO_ATTRIBUTES = 0


def speaker(who: Two, version: int = 3) -> Speaker:
    return Speaker(who.person.argv("sftp", extra=("-s", *who.shared)), version)


def listing(client: Speaker, path: str) -> set[str]:
    handle = client.ask(OPENDIR, path)
    assert handle.kind == HANDLE, handle
    found: set[str] = set()
    while (more := client.ask(READDIR, handle.handle)).kind == NAME:
        found |= {name.decode() for name in more.found}
    assert more.code == EOF
    assert client.ask(CLOSE, handle.handle).code == OK
    return found - {".", ".."}


@pytest.mark.parametrize("version", [3, 4, 5, 6])
def test_what_winscp_does_by_sftp(who: Two, version: int) -> None:
    with speaker(who, version) as client:
        assert client.version == 3
        assert client.ask(REALPATH, ".").found == (b"/projects",)
        assert "p" in listing(client, "/projects")
        for path in ("/projects/p", "/p", "/projects/p/"):
            assert client.ask(REALPATH, path).found[0].rstrip(b"/") == b"/projects/p"
            assert "name" in listing(client, path)
        target = "/projects/p/up load.bin"
        assert client.ask(LSTAT, target).code == NO_SUCH_FILE
        for _ in range(2):  # the second time it is there
            handle = client.ask(OPEN, f"{target}.filepart", 0x1A, NO_ATTRIBUTES).handle
            for at in range(3):
                assert client.ask(WRITE, handle, 0, at * 5, b"bytes").code == OK
            assert client.ask(FSETSTAT, handle, 4, 0o100640).code == OK
            assert client.ask(CLOSE, handle).code == OK
            assert client.ask(SETSTAT, f"{target}.filepart", 8, 10**9, 10**9).code == OK
            if client.ask(RENAME, f"{target}.filepart", target).code != OK:  # it exists
                assert client.ask(REMOVE, target).code == OK
                assert client.ask(RENAME, f"{target}.filepart", target).code == OK
            assert client.ask(SETSTAT, target, 4, 0o640).code == OK
        assert "up load.bin" in listing(client, "/projects/p")
        assert who.sh("p", "stat -c %s.%Y.%a up*; rm up*").out == "15.1000000000.640\n"


def test_what_winscp_does_in_scp_mode_is_refused_at_once(who: Two) -> None:
    """It starts a shell without a terminal, for lines of a shell, and runs scp by one of them."""
    sent = 'echo "WinSCP: this is begin-of-file"\ngroups\ncd "/projects" ; pwd\nscp -r -p -d -t "/projects/p"\n'
    done = who.person.ssh(stdin=sent, extra=("-T", *who.shared))
    assert (done.status, done.out) == (64, "")
    assert done.err == "enc: no command, and no terminal for the prompt; use `ssh gateway help`, or `ssh -t gateway`\n"


def test_what_filezilla_does(who: Two) -> None:
    with speaker(who) as client:
        assert client.ask(REALPATH, ".").found == (b"/projects",)
        for path in ("/projects", "/", "/projects/p"):
            home = client.ask(REALPATH, path).found[0].decode()
            assert client.ask(STAT, home).kind == ATTRS
            assert listing(client, home)
        for level in ("/projects", "/projects/p", "/projects/p/fz", "/projects/p/fz/a", "/projects/p/fz/a/b"):
            made = client.ask(MKDIR, level, NO_ATTRIBUTES)
            assert (made.code == OK) == (level.count("/") > 2), (level, made)
        handle = client.ask(OPEN, "/projects/p/fz/a/b/f", 0x1A, NO_ATTRIBUTES).handle
        assert client.ask(WRITE, handle, 0, 0, b"content").code == OK
        assert client.ask(CLOSE, handle).code == OK
        assert client.ask(SETSTAT, "/projects/p/fz/a/b/f", 8, 10**9, 10**9).code == OK
        assert client.ask(RENAME, "/projects/p/fz/a", "/projects/p/fz/c").code == OK
        handle = client.ask(OPEN, "/projects/p/fz/c/b/f", 1, NO_ATTRIBUTES).handle
        assert client.ask(READ, handle, 0, 0, 32768).kind == DATA
        assert client.ask(READ, handle, 0, 7, 32768).code == EOF
        assert client.ask(CLOSE, handle).code == OK
        assert who.sh("p", "stat -c %Y fz/c/b/f").out == "1000000000\n"
        assert client.ask(REMOVE, "/projects/p/fz/c/b/f").code == OK
        for level in ("c/b", "c", ""):
            assert client.ask(RMDIR, f"/projects/p/fz/{level}").code == OK


# ------------------------------------------------------------------ refusals, in the status of SFTP


@pytest.mark.parametrize("path", ["locked", "/locked/x", "/projects/locked/a/b", "p/../locked/x", "./locked/"])
def test_a_locked_project_is_told_by_every_request(who: Two, path: str) -> None:
    with speaker(who) as client:
        for kind, *rest in ((LSTAT,), (STAT,), (OPENDIR,), (REALPATH,), (REMOVE,), (OPEN, 1, 0), (MKDIR, 0)):
            answer = client.ask(kind, path, *rest)
            assert (answer.code, answer.text) == (DENIED, TOLD), kind
        assert client.ask(RENAME, "p/name", f"{path}/y").text == TOLD
        assert client.ask(RENAME, f"{path}/y", "p/name").text == TOLD
        assert client.ask(STAT, "p/name").kind == ATTRS


@pytest.mark.parametrize("path", ["nosuch", "nosuch/x", "/usr/bin/bwrap", "/etc/passwd", "dev/null"])
def test_what_is_no_project_is_told(who: Two, path: str) -> None:
    name = path.lstrip("/").split("/")[0]
    with speaker(who) as client:
        for kind, *rest in ((LSTAT,), (STAT,), (OPENDIR,), (OPEN, 1, 0), (OPEN, 0x1A, 0), (MKDIR, 0)):
            answer = client.ask(kind, path, *rest)
            assert answer.code == NO_SUCH_FILE, kind
            assert answer.text == f"enc: you have no project {name}; `ls` lists your projects"


def test_openssh_sftp_shows_it(who: Two) -> None:
    done = who.person.sftp("cd locked", extra=who.shared)
    assert done.status != 0
    assert TOLD in done.err


def test_what_is_unlocked_and_locked_and_made_meanwhile_is_found(who: Two) -> None:
    """Through a connection of SFTP that is there all the time."""
    with speaker(who) as client:
        assert client.ask(STAT, "/later").code == NO_SUCH_FILE
        who.person.new("later")
        try:
            assert client.ask(STAT, "/later").code == DENIED
            for _ in range(2):
                with who.person.mounted("later") as held:
                    for path in ("/later", "later", "/projects/later/"):
                        assert client.ask(STAT, path).kind == ATTRS, path
                    assert "later" in listing(client, "/")
                    handle = client.ask(OPEN, "/later/f", 0x1A, NO_ATTRIBUTES).handle
                    assert client.ask(WRITE, handle, 0, 0, b"content").code == OK
                    assert client.ask(CLOSE, handle).code == OK
                    assert who.person.ssh("unmount", "later").status == 0
                    held.wait()
                assert client.ask(STAT, "later/f").code == DENIED
                assert "later" not in listing(client, ".")
                assert client.ask(STAT, "p/name").kind == ATTRS
        finally:
            who.person.ssh("rm", "later", "--yes")


def test_what_is_unlocked_in_another_session_is_found_there_at_once(who: Two) -> None:
    """The list of sessions that the router has is as old as the request before."""
    who.person.new("moved")
    try:
        with speaker(who) as client, who.person.mounted("moved"):
            assert client.ask(STAT, "/moved").kind == ATTRS
            assert who.person.ssh("unmount", "moved", extra=who.shared).status == 0
            with who.person.mounted("moved", extra=who.shared):
                assert client.ask(STAT, "/moved").kind == ATTRS
    finally:
        who.person.ssh("rm", "moved", "--yes")


def test_copies_on_the_gateway(who: Two) -> None:
    done = who.person.sftp("cp p/name p/copied", "rm p/copied", extra=who.shared)
    assert done.status == 0, done
    if who.ssh("ls --json").out.count("unlocked") > 1:
        assert who.person.sftp("cp p/name q/copied", extra=who.shared).status != 0


def test_a_session_without_a_view_says_so_once_on_the_standard_error_that_a_client_shows(gateway: Gateway) -> None:
    person = gateway.person("nothing-yet")
    person.new("later")
    held = person.hold("session")
    try:
        held.read_until("session")
        line = "nothing is unlocked yet; what `mount PROJECT` unlocks will be shown here\n"
        with Speaker(person.argv("/usr/lib/openssh/sftp-server")) as client:
            assert listing(client, ".") == set()
            assert client.ask(STAT, "later").text == "enc: later is not unlocked; `mount later` unlocks it"
        assert client.process.stderr is not None and client.process.returncode == 0
        done = subprocess.run(
            person.argv("/usr/lib/openssh/sftp-server"), capture_output=True, text=True, input="", check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", line)
    finally:
        held.end()


@pytest.mark.parametrize("destination", ["gateway:", "gateway:.", "gateway:/", "gateway:~/", "gateway:/projects/"])
def test_a_destination_without_a_project_is_told(who: Two, here: Path, destination: str) -> None:
    for flags in (("-a",), ("-a", "-s")):
        done = who.rsync(*flags, str(here / "blob"), destination)
        assert done.status != 0
        assert "enc: the destination names no project; write gateway:PROJECT/ or a path below it" in done.err, done
    done = who.scp("-O", str(here / "blob"), destination)
    assert "the destination names no project" in done.err, done


def test_one_project_alone_is_served_without_us_between(who: Two, here: Path) -> None:
    """What `enc mount` asks for."""
    with Speaker([*who.person.argv("sftp", "/p", extra=who.shared)]) as client:
        assert client.ask(STAT, "p/name").kind == ATTRS
        assert client.ask(STAT, "/projects/p/name").kind == ATTRS
    with sshfs(who, "p", here / "work", "-o", "sftp_server=sftp /p") as work:
        assert (work / "name").read_text() == "p\n"
    done = who.ssh("sftp locked")
    assert (done.status, done.err) == (69, TOLD + "\n")
    assert who.ssh("sftp nosuch").status == 66


# ------------------------------------------------------------------ when something ends, or does not answer


def fronts(gateway: Gateway) -> set[int]:
    """The processes that stand between a client of SFTP and its sessions, or wait for one."""
    return {pid for pid, args in gateway.processes().items() if "rshell" in args and "bwrap" not in args}


@pytest.mark.parametrize("line", ["sftp-server", "sftp held"])
def test_nothing_stays_of_a_client_that_goes_while_its_view_hangs(gateway: Gateway, line: str) -> None:
    person = gateway.person(f"hangs-{line[-4:]}")
    person.new("held")
    before = set(gateway.processes())
    with person.mounted("held"):
        (serves,) = (pid for pid, args in gateway.processes().items() if "gocryptfs" in args and pid not in before)
        others = fronts(gateway)
        client = Speaker(person.argv("/usr/lib/openssh/sftp-server" if line == "sftp-server" else line))
        assert client.ask(STAT, "held").kind == ATTRS
        new = fronts(gateway) - others
        assert new
        os.kill(serves, signal.SIGSTOP)
        try:
            client.send(STAT, "held/new")
            client.process.kill()
            client.process.communicate()
            eventually(lambda: not any(map(alive, new)))  # they are no children of the gateway any more
        finally:
            os.kill(serves, signal.SIGCONT)


def test_a_client_with_sessions_that_come_and_go(gateway: Gateway) -> None:
    person = gateway.person("come-and-go")
    names = ("a", "b", "c")
    for name in ("first", *names):
        person.new(name)
    with person.mounted("first"), speaker(Two(person, ())) as client:
        for _ in range(2):
            with contextlib.ExitStack() as held:
                for name in names:
                    held.enter_context(person.mounted(name))
                handles = {}
                for name in names:
                    handles[name] = client.ask(OPEN, f"{name}/f", 0x1A, NO_ATTRIBUTES).handle
                    assert client.ask(WRITE, handles[name], 0, 0, name.encode()).code == OK
                assert len(set(handles.values())) == 3
                assert listing(client, "/") == {"first", *names}
            for name in names:
                eventually(lambda name=name: client.ask(STAT, name).code == DENIED)  # type: ignore[misc]
                assert client.ask(WRITE, handles[name], 0, 5, b"late").code == FAILURE
            assert listing(client, ".") == {"first"}
            assert client.ask(STAT, "/first").kind == ATTRS


def test_a_key_that_is_removed_ends_a_client_of_several_sessions(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    mine, other = gateway.person("mine", "same"), gateway.person("other", "same")
    for name in ("one", "two"):
        other.new(name)
    with other.mounted("one"), other.mounted("two"), speaker(Two(mine, ())) as client:
        for name in ("one", "two"):
            assert client.ask(STAT, name).kind == ATTRS
        lines = gateway.authorized_keys.read_text().splitlines(keepends=True)
        gateway.authorized_keys.write_text("".join(line for line in lines if "mine@test" not in line))
        assert client.process.wait(10) != 0
        assert other.sftp("ls one").status == 0


def test_a_listing_that_a_limit_prevents_ends_no_client(make_gateway: Callable[..., Gateway]) -> None:
    person = make_gateway(**{"limits.programs": "1"}).person("limited")
    with sessions_of(person) as client:
        # The first session is the older one: of two in the same second, either.
        (first,) = (name for name in ("p", "q") if client.ask(STAT, name).kind == ATTRS)
        handle = client.ask(OPENDIR, "/").handle
        refused = client.ask(READDIR, handle)
        assert refused.code == FAILURE and "which is the limit" in refused.text, refused
        assert client.ask(STAT, first).kind == ATTRS


@pytest.mark.parametrize("project", ["p", "q"])
def test_a_path_that_is_too_long_ends_no_session_of_a_client(who: Two, project: str) -> None:
    with speaker(who) as client:
        known = client.ask(STAT, f"{project}/name").kind
        for path in (f"{project}/", f"/projects/{project}/"):
            assert client.ask(STAT, path + "x" * (262_130 - len(path))).code == FAILURE
            assert client.ask(STAT, f"{project}/name").kind == known


def test_directories_that_are_opened_without_end_are_refused(who: Two) -> None:
    with speaker(who) as client:
        answers = [client.ask(OPENDIR, "/") for _ in range(300)]
        assert answers[0].found and not answers[-1].found
        assert answers[-1].code == FAILURE
        assert client.ask(CLOSE, answers[0].handle).code == OK
        assert client.ask(OPENDIR, "/").found


@contextlib.contextmanager
def sessions_of(person: Person) -> Iterator[Speaker]:
    """A client of somebody with p and q in two sessions."""
    for name in ("p", "q"):
        person.new(name)
    with person.mounted("p"), person.mounted("q"), speaker(Two(person, ())) as client:
        yield client


def test_a_session_that_hangs_keeps_no_client_from_the_others(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    person = gateway.person("half-hung")
    for name in ("p", "q"):
        person.new(name)
    with person.mounted("p"):
        before = set(gateway.processes())
        with person.mounted("q"), speaker(Two(person, ())) as client:
            (serves,) = (pid for pid, args in gateway.processes().items() if "gocryptfs" in args and pid not in before)
            assert client.ask(STAT, "q").kind == client.ask(STAT, "p").kind == ATTRS
            os.kill(serves, signal.SIGSTOP)
            try:
                for _ in range(100):
                    client.send(STAT, "q/new")
                assert client.ask(STAT, "p").kind == ATTRS
                assert client.ask(OPENDIR, "p").found
            finally:
                os.kill(serves, signal.SIGCONT)
            answered = [client._receive() for _ in range(100)]
            assert {body[0] for body in answered} == {STATUS}
