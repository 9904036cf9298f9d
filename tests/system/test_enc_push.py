"""`enc push`, `enc pull` and `enc cp`: all arrives, nothing else is written, and a mistake is one line."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import teams
from tests.harness import PASSPHRASE, Gateway, Result, bindir
from tests.laptop import PROMPT, Laptop, laptop
from tests.teams import SECRET

ODD = "x [1].*/a b'c\"d$(e)\\*\\f"
"""A path with what means something to a shell, to rsync, or to both."""


@pytest.fixture(scope="module")
def mine(gateway: Gateway) -> Iterator[Laptop]:
    """A laptop of somebody with the project `p`."""
    who = gateway.person("pusher")
    who.new("p")
    with laptop(who) as made:
        yield made


@pytest.fixture(scope="module")
def held(mine: Laptop) -> Iterator[Path]:
    """Where `p` is mounted, for as long as tests ask for it: so no passphrase is asked for."""
    yield mine.mount("p")
    assert mine.enc("unmount", "p").status == 0


def copied(mine: Laptop, *words: str, secret: str = PASSPHRASE, **more: str) -> Result:
    done = mine.enc(*words, "--json", stdin=f"{secret}\n", **more)
    assert done.status == 0, done
    return done


def differences(one: Path, other: Path) -> str:
    """What rsync finds different in anything, hard links included."""
    words = ["rsync", "-niaHX", "--no-o", "--no-g", "--checksum", "--delete", "--modify-window=-1"]
    done = subprocess.run([*words, f"{one}/", f"{other}/"], capture_output=True, text=True, check=True)
    return done.stdout


def listed(mine: Laptop, path: str) -> list[str]:
    """What is at `path` in `p`, now: a mount may show what was there before."""
    return sorted(mine.who.ssh("run", "p", "--", "find", path).out.splitlines())


def refused(done: Result, status: int, *says: str) -> None:
    assert done.status == status and done.err.count("\n") == 1 and done.err.startswith("enc: "), done
    assert all(word in done.err for word in says), done


def test_what_was_pushed_comes_back_as_it_was_and_the_project_is_locked_after_each(
    mine: Laptop, tmp_path: Path
) -> None:
    source, back = tmp_path / "source", tmp_path / "new" / "back"
    (source / "sub" / "deep").mkdir(parents=True)
    (source / "sub" / "deep" / "name\nof two lines").write_bytes(os.urandom(300_000))
    (source / "sub" / "program").write_text("#!/bin/sh\n")
    (source / "sub" / "program").chmod(0o750)
    (source / "away").symlink_to("/etc/passwd")
    with (source / "hole").open("wb") as hole:
        hole.truncate(64 << 20)
    (source / "near").symlink_to("sub/../sub/program")
    os.mkfifo(source / "fifo")
    os.setxattr(source / "sub" / "program", "user.note", b"hello")
    os.utime(source / "sub" / "deep", ns=(0, 1_234_567_890_123_456_789))
    pushed = copied(mine, "push", f"{source}/", f"p:{ODD}/")
    assert pushed.json["project"] == "p" and pushed.json["path"] == ODD
    assert (pushed.json["copied"], pushed.json["skipped"]) == (7, 1) and "fifo" in pushed.err
    assert mine.views() == []
    pulled = copied(mine, "pull", f"p:{ODD}", str(back))
    assert (pulled.json["copied"], pulled.json["skipped"]) == (7, 0)
    assert "lead out of the directory: away\n" in pulled.err, pulled
    (source / "fifo").unlink()
    os.utime(source, ns=(0, back.stat().st_mtime_ns))
    assert differences(source, back) == ""
    assert (back / "hole").stat().st_blocks * 512 < 1 << 20
    assert mine.views() == []
    with mine.who.mounted("p"):
        done = mine.who.ssh("run", "p", "--", "find", ".", "-maxdepth", "2", "-printf", "%P=")
        assert f"={ODD}=" in done.out, done


def test_what_the_source_lacks_stays_unless_it_is_said_and_a_mount_stays(
    mine: Laptop, held: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for directory in (one, two):
        directory.mkdir()
        (directory / directory.name).write_text(directory.name)
        (directory / "both").write_text(directory.name)
    os.utime(two / "both", (1, 1))
    for source in (one, two):
        assert copied(mine, "push", str(source), "p:kept").json["copied"] == 2
    assert {path.name: path.read_text() for path in (held / "kept").iterdir()} == {
        **{name: name for name in ("one", "two")},
        "both": "two",  # which is older
    }
    copied(mine, "pull", "p:kept", str(one))
    assert (one / "both").read_text() == "two" and (one / "two").exists() and (one / "one").exists()
    copied(mine, "push", str(two), "p:kept", "--delete")
    assert listed(mine, "kept") == ["kept", "kept/both", "kept/two"]
    copied(mine, "pull", "p:kept", str(one), "--delete")
    assert sorted(os.listdir(one)) == ["both", "two"]
    assert os.path.ismount(held) and mine.views() == ["p"]


def test_whatever_rsync_is_made_to_do_a_pull_writes_nothing_elsewhere_and_reads_nothing_of_mine(
    mine: Laptop, held: Path, tmp_path: Path
) -> None:
    """A gateway that has taken over this user's rsync: what is here in its place does what it likes."""
    (held / "file").write_text("x")
    (mine.home / ".ssh").mkdir(exist_ok=True)
    (mine.home / ".ssh" / "id").write_text("a secret key")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "out").symlink_to(mine.home)
    (tmp_path / "bin").mkdir()
    taken = tmp_path / "bin" / "rsync"
    taken.write_text(
        f"#!/bin/sh\n(echo owned >{mine.home}/.bashrc; echo owned >out/.profile; ln {mine.home}/.ssh/id linked\n"
        f"mv {mine.home}/.ssh/id moved; rm -rf {mine.home}/.ssh; cat {mine.home}/.ssh/id >leaked\n"
        f"mknod device c 1 3; mkfifo fifo; touch {tmp_path}/beside\n"
        f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{mine.gateway.ready['port']}' && touch connected) 2>/dev/null\n"
        'echo begun >begun; exec /usr/bin/rsync "$@"\n'
    )
    taken.chmod(0o755)
    path = f"{taken.parent}:{bindir()}:{os.environ['PATH']}"
    copied(mine, "pull", "p:", str(tmp_path / "target"), PATH=path)
    assert (tmp_path / "target" / "begun").exists() and (tmp_path / "target" / "file").read_text() == "x"
    assert not {".bashrc", ".profile"} & set(os.listdir(mine.home)) and not (tmp_path / "beside").exists()
    assert (mine.home / ".ssh" / "id").read_text() == "a secret key"
    assert (tmp_path / "target" / "leaked").read_bytes() == b""
    assert not {"linked", "moved", "device", "fifo", "connected"} & set(os.listdir(tmp_path / "target"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine").write_text("mine")
    done = mine.enc("push", str(tmp_path / "own"), "p:own", PATH=path)
    assert done.status == 0 and os.listdir(tmp_path / "own") == ["mine"], "a push cannot even write there"


def test_a_pull_takes_neither_set_user_id_bits_nor_what_is_no_file(mine: Laptop, held: Path, tmp_path: Path) -> None:
    script = "mkdir odd; cp /bin/true odd/suid; chmod 6755 odd/suid; mkfifo odd/pipe; mkdir odd/d; chmod 2755 odd/d"
    done = mine.who.ssh("run", "p", "--", "sh", "-c", f"'{script}; stat -c %a odd/suid'", timeout=60)
    assert (done.status, done.out.strip()) == (0, "6755"), done
    pulled = copied(mine, "pull", "p:odd", str(tmp_path / "odd"))
    assert pulled.json["skipped"] == 1 and "FIFOs or devices: pipe" in pulled.err, pulled
    assert stat.S_IMODE((tmp_path / "odd" / "suid").stat().st_mode) == 0o755
    assert sorted(os.listdir(tmp_path / "odd")) == ["d", "suid"]


def test_a_push_that_is_interrupted_has_a_bar_and_the_same_words_continue_it(
    mine: Laptop, held: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    content = os.urandom(6_000_000)
    (source / "big").write_bytes(content)
    (tmp_path / "rsync").write_text('#!/bin/sh\nexec /usr/bin/rsync --bwlimit=2000 "$@"\n')
    (tmp_path / "rsync").chmod(0o755)
    slow = mine.terminal(PATH=f"{tmp_path}:{bindir()}:{os.environ['PATH']}")
    slow.send(f"enc push {source} p:big\n")
    slow.expect("MB/s")
    slow.send("\x03")
    said = slow.expect(PROMPT)
    assert "enc: interrupted: p:big may have a part; what was copied stays, and the same words continue" in said, said
    slow.close()
    part = int(mine.who.ssh("run", "p", "--", "stat", "-c", "%s", "big/big").out)
    assert 0 < part < len(content)
    assert copied(mine, "push", str(source), "p:big").json["copied"] == 1
    assert (held / "big" / "big").read_bytes() == content
    assert listed(mine, "big") == ["big", "big/big"]


def test_cp_copies_inside_a_project_as_cp_does(mine: Laptop, held: Path) -> None:
    (held / "-from" / "in").mkdir(parents=True)
    (held / "-from" / "in" / "f").write_text("content")
    os.utime(held / "-from" / "in" / "f", (1_000_000_000, 1_000_000_000))
    assert copied(mine, "cp", "-r", "p:-from", "p:a copy").json == {"project": "p", "copied": ["-from"], "to": "a copy"}
    assert (held / "a copy" / "in" / "f").stat().st_mtime == 1_000_000_000
    copied(mine, "cp", "p:a copy/in/f", "p:*")
    copied(mine, "cp", "-r", "p:*", "p:-from", "p:a copy/")
    assert (held / "a copy" / "*").read_text() == (held / "a copy" / "-from" / "in" / "f").read_text() == "content"
    refused(mine.enc("cp", "p:-from", "p:other"), 73, "-r not specified; omitting directory")
    refused(mine.enc("cp", "p:none", "p:other"), 73, "cannot stat 'none'")
    refused(mine.enc("cp", "-r", "p:a copy", "p:a copy/in"), 73, "into itself")


def test_a_reader_pulls_a_shared_project_and_changes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    owner, reader = (gateway.person(f"push-{name}", name) for name in ("owner", "reader"))
    owner.new("plan")
    shared = f"{teams.owner(owner)}/plan"
    assert teams.accept(reader, shared, teams.invite(owner, "plan", teams.owner(reader), "--read")).status == 0
    (tmp_path / "source").mkdir()
    with owner.mounted("plan"), laptop(reader) as theirs:
        assert owner.ssh("run", "plan", "--", "sh", "-c", "'mkdir sub; echo theirs >sub/plan'").status == 0
        assert theirs.enc("mount", shared, stdin=f"{SECRET}\n").status == 0
        copied(theirs, "pull", f"{shared}:sub", str(tmp_path / "back"))
        assert (tmp_path / "back" / "plan").read_text() == "theirs\n"
        no = f"you can read {shared}, and not change it"
        refused(theirs.enc("push", str(tmp_path / "source"), f"{shared}:sub"), 77, no)
        refused(theirs.enc("cp", f"{shared}:again", f"{shared}:b"), 77, no)


WRONG = [
    pytest.param(("push", "{d}", "P"), 64, "'P' is not a project name", id="name"),
    pytest.param(("push", "{d}", "p:../q"), 64, "without ..", id="climbs"),
    pytest.param(("push", "{d}", "p:/q"), 64, "leave out the slash at its start: q", id="absolute"),
    pytest.param(("push", "{d}/none", "p"), 64, "does not exist", id="nothing-here"),
    pytest.param(("push", "{d}/file", "p"), 64, "is a file", id="a-file-here"),
    pytest.param(("push", "{d}"), 64, "PROJECT[:PATH]", id="no-project"),
    pytest.param(("pull", "{d}", "p"), 64, "is not a project name", id="the-other-way-round"),
    pytest.param(("pull", "p:a/../../b", "{d}"), 64, "without ..", id="pull-climbs"),
    pytest.param(("pull", "p", "{d}/file"), 73, "is no directory", id="into-a-file"),
    pytest.param(("pull", "p", "{d}/file/x"), 73, "is no directory", id="below-a-file"),
    pytest.param(("pull", "p:none", "{d}/new"), 66, "there is no p:none", id="nothing-there"),
    pytest.param(("pull", "p:f", "{d}/new"), 66, "p:f is a file", id="a-file-there"),
    pytest.param(("push", "{d}", "p:f"), 73, "p:f is a file", id="over-a-file"),
    pytest.param(("push", "{d}", "p:f/x"), 73, "Not a directory", id="below-a-file-there"),
    pytest.param(("pull", "other", "{d}/new"), 66, "you have no project other", id="no-such-project"),
    pytest.param(("cp", "p:a"), 64, "where to", id="cp-one"),
    pytest.param(("cp", "a", "b"), 64, "no word names one", id="cp-none"),
    pytest.param(("cp", "a b", "p:c"), 64, "`enc push 'a b' p:c` copies from this machine", id="cp-from-here"),
    pytest.param(("cp", "p:a", "b"), 64, "`enc pull p:a b` copies to this machine", id="cp-to-here"),
    pytest.param(("cp", "p:a", "q:b"), 64, "`enc pull p:a DIR`, then `enc push DIR q:b`", id="cp-across"),
    pytest.param(("cp", "p:../a", "p:b"), 64, "without ..", id="cp-climbs"),
]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("words", "status", "says"), WRONG)
def test_a_mistake_is_one_line(
    mine: Laptop, held: Path, tmp_path: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    (tmp_path / "file").write_text("x")
    (held / "f").write_text("x")
    refused(mine.enc(*(word.format(d=tmp_path) for word in words)), status, says)
    assert not (tmp_path / "new").exists()


def test_what_is_wrong_here_is_told_before_the_passphrase_is_asked_for(mine: Laptop, tmp_path: Path) -> None:
    mine.who.new("locked")
    (tmp_path / "d").mkdir(0)
    no = {"ENC_PASSPHRASE_COMMAND": f"touch {tmp_path}/asked"}
    refused(mine.enc("push", str(tmp_path), "locked", **no), 66, "closes" if os.geteuid() == 0 else "may not read")
    refused(mine.enc("pull", "locked", "/dev/null", **no), 73, "is no directory")
    tools = tmp_path / "tools"
    tools.mkdir()
    for program in ("ssh", "env", "python3"):
        (tools / program).symlink_to(f"/usr/bin/{program}")
    (tools / "enc").symlink_to(bindir() / "enc")
    refused(mine.enc("push", str(tools), "locked", **no, PATH=str(tools)), 69, "rsync is not installed")
    assert not (tmp_path / "asked").exists() and "locked" not in mine.views()
