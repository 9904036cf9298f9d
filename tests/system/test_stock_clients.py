"""What stock clients send, as they write it: each reaches the project that a path names, or is told why not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Result, need, run
from tests.life import connection
from tests.stock import Two, older_key_exchange, sessions, sshfs


@pytest.fixture(scope="module")
def two(gateway: Gateway) -> Iterator[Two]:
    with sessions(gateway.person("stock")) as made:
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path


# ------------------------------------------------------------------ scp's own protocol


@pytest.mark.parametrize(
    "options",
    ["-pf", "-f", "-p -f", "-qf", "-vpf", "-fp", "-rf --", "-prf", "-q -p -f --"],
)
def test_scp_sends_whatever_way_its_options_are_written(two: Two, options: str) -> None:
    result = two.ssh(f"scp {options} p/name", stdin=b"\0" * 8)
    assert result.status == 0, result
    assert "p\n" in result.out and "C0644 2 name" in result.out


@pytest.mark.parametrize("options", ["-tr", "-pt", "-qt", "-rt", "-r -t --", "-vrpt", "-tdr"])
def test_scp_receives_whatever_way_its_options_are_written(two: Two, options: str) -> None:
    result = two.ssh(f"scp {options} p/src", stdin=b"C0644 4 up\nnew\n\0")
    assert result.status == 0, result
    assert two.sh("p", "cat src/up; rm src/up").out == "new\n"


@pytest.mark.parametrize("options", ["-tS sh", "-oProxyCommand=x -t", "-tF x", "-3t", "--recursive -t", "-t -X"])
def test_scp_options_that_no_client_sends_are_refused(two: Two, options: str) -> None:
    assert two.ssh(f"scp {options} p/").status == 64


@pytest.mark.parametrize("line", ["scp -f locked/x", "scp -pt locked/", "scp -qrf -- /locked/x"])
def test_scp_tells_a_refusal_in_its_own_protocol(two: Two, line: str) -> None:
    result = two.ssh(line)
    assert (result.status, result.err) == (69, "")
    assert result.out == "\x02enc: locked is not unlocked; `mount locked` unlocks it\n"


@pytest.mark.parametrize(("line", "status"), [("scp -f nosuch/x", 66), ("scp -f p/$(id)", 127), ("scp -ft p/x", 64)])
def test_so_does_any_refusal_of_a_line_that_scp_wrote(two: Two, line: str, status: int) -> None:
    result = two.ssh(line)
    assert (result.status, result.err, result.out[:5]) == (status, "", "\x02enc:")
    assert result.out.count("\n") == 1


def test_openssh_scp_shows_the_refusal_once(two: Two, here: Path) -> None:
    result = two.scp("-O", "gateway:locked/x", str(here))
    assert result.status != 0
    assert result.err.count("locked is not unlocked") == 1


@pytest.mark.parametrize("path", ["/p/name", "/~/p/name", "/projects/p/name"])
def test_curl_fetches_by_scp(two: Two, older: int, path: str) -> None:
    result = curl(two, older, f"scp://{{}}{path}")
    assert (result.status, result.out) == (0, "p\n"), result


@pytest.fixture(scope="module")
def older(gateway: Gateway) -> Iterator[int]:
    need(Path("/usr/bin/curl").exists(), "curl")
    with older_key_exchange(gateway) as port:
        yield port


def curl(two: Two, port: int, url: str, *words: str) -> Result:
    """curl with the gateway's address for {} in `url`."""
    key = two.person.key
    login = f"{two.person.gateway.ready['account']}:@127.0.0.1:{port}"
    return run(["curl", "-sS", "--insecure", "--key", str(key), "--pubkey", f"{key}.pub", *words, url.format(login)])


# ------------------------------------------------------------------ rsync's paths


@pytest.mark.parametrize(
    "path",
    ["p/name", "/p/name", "~/p/name", "./p/name", "/projects/p/name", "~/./p/name", "//p/name"],
)
@pytest.mark.parametrize("flags", [(), ("-s",)], ids=["", "s"])
def test_rsync_takes_every_spelling_of_a_path(two: Two, here: Path, path: str, flags: tuple[str, ...]) -> None:
    result = two.rsync("-a", *flags, f"gateway:{path}", f"{here}/")
    assert (result.status, result.err) == (0, ""), result
    assert (here / "name").read_text() == "p\n"
    assert two.rsync("-a", *flags, str(here / "name"), f"gateway:{path}2").status == 0
    assert two.sh("p", "cat name2 && rm name2").out == "p\n"


@pytest.mark.parametrize("flags", [(), ("-s",)], ids=["", "s"])
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("p/*.c", {"a.c", "b.c", "x [1].c"}),
        ("p/[ab].c", {"a.c", "b.c"}),
        ("p/[!a].c", {"b.c"}),
        ("p/?.c", {"a.c", "b.c"}),
        ("/p/.*.c", {".hidden.c"}),
        ("~/p/s*/d*/f", {"f"}),
        ("p/x [1].c", {"x [1].c"}),
        (r"p/x \[1\].c", {"x [1].c"}),
        ("p/../*/name", {"name"}),
    ],
)
def test_rsync_finds_what_wildcards_mean(
    two: Two, here: Path, pattern: str, found: set[str], flags: tuple[str, ...]
) -> None:
    result = two.rsync("-a", *flags, f"gateway:{pattern}", f"{here}/")
    assert result.status == 0, result
    assert {path.name for path in here.iterdir()} == found


def test_a_wildcard_that_matches_nothing_is_a_name_that_is_not_there(two: Two, here: Path) -> None:
    result = two.rsync("-a", "gateway:p/*.nothing", f"{here}/")
    assert result.status == 23
    assert "*.nothing" in result.err and "No such file" in result.err


def test_scp_by_its_own_protocol_finds_what_wildcards_mean(two: Two, here: Path) -> None:
    assert two.scp("-O", "gateway:p/?.c", str(here)).status == 0
    assert {path.name for path in here.iterdir()} == {"a.c", "b.c"}
    assert two.scp("-O", r"gateway:/q/x\ \[1\].c", str(here)).status == 0
    assert (here / "x [1].c").read_text() == "three\n"


def test_a_pattern_without_end_is_refused(two: Two) -> None:
    """40 levels of a directory that contains itself twice: 2^40 names."""
    assert two.sh("p", "mkdir -p loop && cd loop && ln -sfn . a && ln -sfn . b").status == 0
    result = two.ssh("scp -f p/loop/" + "*/" * 40 + "x", stdin=b"\0" * 4)
    assert result.status != 0
    assert "matches too many names" in result.err
    assert two.sh("p", "rm -r loop").status == 0


def test_no_shell_sees_a_line_of_a_program(two: Two, here: Path) -> None:
    for name in (
        "$(id)",
        "`id`",
        "a;id",
        "a&b",
        "a|b",
        "{a,b}",
        "!x",
        "#x",
        "a'b",
        'a"b',
        "a\\b",
        "a\nb",
        "-e sh",
        "ü",
    ):
        file = here / name
        file.write_text("odd\n")
        assert two.rsync("-a", f"./{name}", "gateway:p/src/odd/", directory=here).status == 0
        back = here / "back"
        assert two.rsync("-a", f"gateway:p/src/odd/{name}", f"{back}/").status == 0, name
        assert [path.name for path in back.iterdir()] == [name]
        (back / name).unlink()
        assert two.sh("p", "rm -r src/odd").status == 0


def test_link_dest_and_backup_dir_take_paths_of_the_gateway(two: Two, here: Path) -> None:
    (here / "tree").mkdir()
    (here / "tree" / "f").write_text("same\n")
    for number in (1, 2):
        assert two.rsync("-a", "--link-dest=/p/snap1", f"{here}/tree/", f"gateway:/p/snap{number}/").status == 0
    assert len(set(two.sh("p", "stat -c %i snap1/f snap2/f").out.split())) in (1, 2)  # gocryptfs may refuse the link
    words = ("-ab", "--backup-dir=/p/old", "--suffix=", f"{here}/tree/f", "gateway:/p/snap1/f")
    (here / "tree" / "f").write_text("other\n")
    assert two.rsync(*words).status == 0
    assert two.sh("p", "cat old/f; rm -r old snap1 snap2").out == "same\n"


def test_rsync_s_that_sends_no_words_or_a_locked_project_is_told_so(two: Two, here: Path) -> None:
    result = two.ssh("rsync --server --sender -slogDtpre.iLsfxCIvu")
    assert (result.status, result.err.count("\n")) == (64, 1)
    assert "rsync -s sent no words" in result.err
    result = two.rsync("-a", "-s", "gateway:locked/x", str(here))
    assert "locked is not unlocked" in result.err
    sent = b"rsync\0--rsh=sh\0.\0p/\0\0"
    assert two.ssh("rsync --server -slogDtpre.iLsfxCIvu", stdin=sent).status == 64


# ------------------------------------------------------------------ SFTP, with two sessions


def sftp(two: Two, *commands: str) -> Result:
    return two.person.sftp(*commands, extra=two.shared)


@pytest.mark.parametrize("project", ["p", "q"])
@pytest.mark.parametrize("prefix", ["", "/", "/projects/", "p/../", "./", "q/../"])
def test_sftp_finds_the_session_of_a_path(two: Two, here: Path, project: str, prefix: str) -> None:
    result = sftp(two, f"get {prefix}{project}/name {here}/got", f"put {here}/got {prefix}{project}/put")
    assert result.status == 0, result
    assert (here / "got").read_text() == f"{project}\n"
    assert two.sh(project, "cat put && rm put").out == f"{project}\n"


def test_sftp_shows_the_projects_of_all_sessions(two: Two) -> None:
    for path in ("", "/projects", "/", "p/.."):
        assert [one.rsplit("/")[-1] for one in sftp(two, f"ls -1 {path}").out.splitlines()[1:]] == ["p", "q"], path
    assert sftp(two, "pwd").out.splitlines()[-1] == "Remote working directory: /projects"
    long = sftp(two, "ls -la").out
    assert long.count("drwx") == 2


def test_sftp_does_everything_in_each_session(two: Two, here: Path) -> None:
    blob = os.urandom(3_000_000)
    (here / "blob").write_bytes(blob)
    for project in ("q", "p"):
        done = sftp(
            two,
            f"cd /{project}",
            f"put {here}/blob one",
            "rename one two",
            "-ln two three",  # some gocryptfs are not let make hard links (gateway/vault/defects.py)
            "ln -s two four",
            "chmod 600 two",
            "mkdir d",
            "rename two d/five",
            f"get d/five {here}/back",
            "df .",
            "ls -l",
            "-rm three",
            "rm four",
            "rm d/five",
            "rmdir d",
        )
        assert done.status == 0, done
        assert (here / "back").read_bytes() == blob


def test_sftp_between_sessions_says_why_it_cannot(two: Two) -> None:
    assert sftp(two, "rename p/name q/other").status != 0
    assert two.sh("p", "cat name").out == "p\n"
    result = sftp(two, "get locked/x /dev/null")
    assert result.status != 0
    assert two.sh("p", "cat name").out == "p\n"


@pytest.mark.parametrize("tool", ["scp", "sftp"])
def test_scp_in_sftp_mode_reaches_both(two: Two, here: Path, tool: str) -> None:
    for project in ("p", "/q", "~/q"):
        if tool == "scp":
            result = two.scp(f"gateway:{project}/name", f"gateway:{project}/a.c", str(here))
        else:
            path = project.removeprefix("~")  # sftp takes it for the name of a directory
            result = run(["sftp", *two.person.options, *two.shared, f"gateway:{path}/name", f"{here}/"])
        assert result.status == 0, result
        assert (here / "name").read_text() == f"{project[-1]}\n"


@pytest.mark.parametrize("remote", ["p", "q", "/q", "/projects/q/", ""])
def test_sshfs_reaches_the_session_of_its_path(two: Two, here: Path, remote: str) -> None:
    project = remote.strip("/")[-1:] or "q"
    with sshfs(two, remote, here / "work") as work:
        top = work if remote else work / "q"
        assert (top / "name").read_text() == f"{project}\n"
        (top / "through").write_text("x" * 100_000)
        assert (top / "through").stat().st_size == 100_000
        (top / "through").rename(top / "moved")
        (top / "moved").unlink()
        if not remote:
            assert sorted(path.name for path in work.iterdir()) == ["p", "q"]
            assert (work / "p" / "name").read_text() == "p\n"


def test_curl_reaches_both_by_sftp(two: Two, older: int, here: Path) -> None:
    for project in ("p", "q"):
        result = curl(two, older, f"sftp://{{}}/{project}/name")
        assert result.out == f"{project}\n", result
        (here / "up").write_text("up\n")
        assert curl(two, older, f"sftp://{{}}/{project}/up", "-T", str(here / "up")).status == 0
        assert two.sh(project, "cat up; rm up").out == "up\n"


def test_what_is_no_sftp_is_refused_and_does_no_harm(two: Two) -> None:
    for sent in (b"\0\0\0\0", b"\xff" * 100, b"\0\0\0\5\1\0\0\0\3" + b"\0\0\0\5\4\0\0\0\1", b"\0\0\0\2ab", b"\0" * 9):
        result = two.person.ssh("sftp", stdin=sent, extra=("-s", *two.shared))
        assert "Traceback" not in result.err
    sent = b"\0\0\0\5\1\0\0\0\3"
    for body in (
        b"\4\0\0\0\1\0\0\0\1\7",
        b"\5\0\0\0\2\0\0\0\0",
        b"\x0c\0\0\0\3\0\0\0\5\xff\0\0\0\7",
        b"\xc8\0\0\0\4\0\0\0\1x",
    ):
        sent += len(body).to_bytes(4, "big") + body
    process = subprocess.run(
        two.person.argv("sftp", extra=("-s", *two.shared)), input=sent, capture_output=True, check=False, timeout=60
    )
    assert process.returncode == 0, process
    assert process.stdout.count(b"no such handle") == 3 and b"not supported" in process.stdout


@pytest.mark.parametrize("path", ["q/r.git", "/q/r.git", "~/q/r.git", "/projects/q/r.git"])
def test_git_takes_every_spelling_of_a_path(two: Two, here: Path, path: str) -> None:
    assert two.sh("q", "test -d r.git || git init -q --bare -b main r.git").status == 0
    remote = " ".join(("ssh", *two.person.options, *two.shared))
    result = run(["env", f"GIT_SSH_COMMAND={remote}", "git", "clone", "-q", f"gateway:{path}", str(here / "co")])
    assert result.status == 0, result
    locked = path.replace("q/", "locked/")
    result = run(["env", f"GIT_SSH_COMMAND={remote}", "git", "clone", "-q", f"gateway:{locked}", str(here / "no")])
    assert "locked is not unlocked; `mount locked` unlocks it" in result.err


def test_sftp_says_in_its_status_why_a_project_is_not_there(two: Two) -> None:
    path = b"locked/x"
    body = b"\x11\0\0\0\1" + len(path).to_bytes(4, "big") + path
    sent = b"\0\0\0\5\1\0\0\0\3" + len(body).to_bytes(4, "big") + body
    words = two.person.argv("sftp", extra=("-s", *two.shared))
    said = subprocess.run(words, input=sent, capture_output=True, check=False, timeout=60).stdout
    assert b"locked is not unlocked; `mount locked` unlocks it" in said


def test_one_session_takes_a_path_from_the_root_as_well(gateway: Gateway, here: Path) -> None:
    person = gateway.person("stock-one")
    person.new("alone")
    with person.mounted("alone"), connection(person) as shared:
        one = Two(person, shared)
        (here / "f").write_text("x\n")
        assert sftp(one, f"put {here}/f /alone/f", "cd /alone", "ls").status == 0
        assert one.scp("gateway:/alone/f", str(here / "g")).status == 0
        assert one.scp("-O", "gateway:/alone/f", str(here / "h")).status == 0


@pytest.mark.parametrize(
    "line",
    [
        "git-lfs-authenticate p/r.git download",
        "git-lfs-transfer p/r.git upload",
        "git-annex-shell 'configlist' '/p/r.git'",
        "hg -R p serve --stdio",
        "borg serve --restrict-to-path p",
        "svnserve -t",
    ],
)
def test_a_service_that_is_not_there_is_an_unknown_command(two: Two, line: str) -> None:
    result = two.ssh(line)
    assert (result.status, result.out) == (127, "")
    assert result.err == f"enc: unknown command {line.split()[0]}; `help` lists the commands\n"
