"""Programs of `run` find what their packages put below /etc, and what a login has: names, a umask, a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Terminal, need
from tests.running import UnlockedProject, unlocked_project


@pytest.fixture(scope="module")
def at(gateway: Gateway) -> Iterator[UnlockedProject]:
    with unlocked_project(gateway, "configured") as made:
        yield made


PROGRAMS = [
    ("id", "id -un; id -gn", "enc\nenc\n"),
    ("git", "git config --system --list >/dev/null; git config --system x.y; echo $?", "1\n"),
    (
        "openssl",
        "openssl req -x509 -newkey ed25519 -nodes -subj /CN=x -keyout k -out c 2>/dev/null && openssl x509 -in c -noout"
        " -subject",
        "subject=CN = x\n",
    ),
    (
        "javac",
        "echo 'class A { public static void main(String[] a) { System.out.println(1); } }' >A.java && javac A.java"
        " && java A",
        "1\n",
    ),
    ("keytool", "keytool -list -cacerts -storepass changeit | grep -c trustedCertEntry | grep -v '^0'", None),
    ("mvn", "mvn -v 2>/dev/null | grep -c 'Apache Maven'", "1\n"),
    ("man", "MANPAGER=cat man ls | grep -c '^NAME'", "1\n"),
    ("man", "manpath", None),
    ("python3", "python3 -c 'import site, time; print(time.tzname[0])'", None),
    ("file", "echo x >t; file -b t", "ASCII text\n"),
    ("perl", "perl -e 'print scalar getgrgid($)), qq(\\n)'", "enc\n"),
    ("locale", "LC_ALL=C.UTF-8 locale charmap", "UTF-8\n"),
    ("getent", "getent group enc | cut -d: -f1", "enc\n"),
]


@pytest.mark.parametrize(
    ("program", "script", "said"), PROGRAMS, ids=[f"{one[0]}-{at}" for at, one in enumerate(PROGRAMS)]
)
def test_a_program_finds_its_configuration(at: UnlockedProject, program: str, script: str, said: str | None) -> None:
    need(any(Path(place, program).exists() for place in ("/usr/bin", "/usr/sbin")), program)
    result = at.run("sh", "-c", script, timeout=120)
    assert (result.status, result.err) == (0, ""), result
    assert result.out == said or (said is None and result.out)


LEFT_OUT = re.compile(r"/etc/environment$")
"""What may hold a secret."""


def test_every_link_from_usr_into_etc_leads_somewhere(at: UnlockedProject) -> None:
    links = [
        os.path.join(directory, name)
        for directory, directories, files in os.walk("/usr")
        for name in (*directories, *files)
        if os.path.islink(os.path.join(directory, name))
    ]
    leading = [link for link in links if os.path.realpath(link).startswith("/etc/") and os.access(link, os.R_OK)]
    public = [link for link in leading if os.stat(link).st_mode & 0o004 and not LEFT_OUT.match(os.path.realpath(link))]
    assert public
    script = "import os, sys; print(*(one for one in sys.stdin.read().split('\\n') if one and not os.path.exists(one)))"
    assert at.run("python3", "-c", script, stdin="\n".join(public)).out == "\n"


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/ssl/private", "/etc/sudoers", "/etc/enc", "/etc/machine-id"),
        *(
            "/etc/pip.conf",
            "/etc/npmrc",
            "/etc/wgetrc",
            "/etc/environment",
            "/etc/fstab",
            "/etc/cron.d",
            "/etc/krb5.conf",
        ),
    ],
)
def test_what_may_be_secret_is_not_there(at: UnlockedProject, path: str) -> None:
    assert at.run("test", "-e", path).status == 1


def test_nothing_in_etc_is_writable_or_of_another_account(at: UnlockedProject) -> None:
    assert at.sh("find /etc -writable ! -type l ! -path /etc/passwd 2>/dev/null | head -3; touch /etc/x").status == 1
    passwd = at.run("cat", "/etc/passwd", "/etc/group").out
    assert {line.split(":")[0] for line in passwd.splitlines()} == {"enc", "nogroup"}


def test_the_zone_is_the_hosts(at: UnlockedProject) -> None:
    need(Path("/etc/localtime").exists(), "/etc/localtime")
    assert at.run("cat", "/etc/localtime", stdin="").status == 0
    assert at.run("cmp", "/etc/localtime", os.path.realpath("/etc/localtime")).status == 0


# ------------------------------------------------------------------ the umask


def test_what_a_program_makes_has_the_modes_of_a_login(at: UnlockedProject) -> None:
    result = at.sh("umask; touch f; mkdir d; stat -c %a f d; tar cf t.tar f d; tar tvf t.tar | cut -c1-10")
    assert result.out.split() == ["0022", "644", "755", "-rw-r--r--", "drwxr-xr-x"]


@pytest.mark.parametrize("tool", ["scp", "scp -O", "rsync", "sftp"])
def test_what_is_uploaded_has_them_too(at: UnlockedProject, tool: str, tmp_path: Path) -> None:
    file = tmp_path / "up"
    file.write_text("x")
    file.chmod(0o664)
    if tool == "sftp":
        assert at.person.sftp(f"put {file} {at.project}/up1", f"mkdir {at.project}/up2").status == 0
    else:
        name, *flags = tool.split()
        assert at.person.copy(name, *flags, str(file), f"gateway:{at.project}/up1").status == 0
    made = at.sh("stat -c %a up1; test -d up2 && stat -c %a up2; rm -rf up1 up2").out.split()
    assert made == ["644", "755"][: len(made)]


def test_the_vault_is_closed_to_others_all_the_same(at: UnlockedProject) -> None:
    for path in (at.gateway.vaults, at.person.vault(at.project)):
        assert path.stat().st_mode & 0o007 == 0, path


# ------------------------------------------------------------------ the terminal


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("xterm-256color", "xterm-256color"),
        ("vt100", "vt100"),
        ("xterm-ghostty", "xterm-256color"),
        ("xterm-kitty-of-tomorrow", "xterm-256color"),
        ("tmux-of-tomorrow", "screen-256color"),
        ("../../x", "dumb"),
        ("a/b", "dumb"),
    ],
)
def test_a_terminal_of_an_unknown_kind_is_taken_for_a_known_one(at: UnlockedProject, kind: str, seen: str) -> None:
    words = [
        "env",
        f"TERM={kind}",
        *at.person.argv(
            *at.words("sh", "-c", "echo kind=$TERM; tput cols >/dev/null && echo ok"), extra=("-tt", *at.shared)
        ),
    ]
    terminal = Terminal(words)
    try:
        assert f"kind={seen}" in terminal.expect("ok" if seen != "dumb" else f"kind={seen}")
    finally:
        terminal.close()


SUSPENDED = (
    "import time\nprint('begun', flush=True)\nn = 0\n"
    "while True:\n    time.sleep(0.2); n += 1; print('tick', n, flush=True)\n"
)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["python3", "-u", "-c", SUSPENDED], id="the program itself"),
        pytest.param(["sh", "-c", 'python3 -u -c "$1"; true', "sh", SUSPENDED], id="below a shell"),
        pytest.param(
            [
                "python3",
                "-u",
                "-c",
                "import os, signal\n"
                + SUSPENDED.replace("n += 1", "n += 1; n == 3 and os.kill(os.getpid(), signal.SIGSTOP)"),
            ],
            id="stopped for certain",
        ),
    ],
)
def test_ctrl_z_does_not_freeze_a_program_for_good(at: UnlockedProject, words: list[str]) -> None:
    terminal = at.terminal(*words)
    try:
        terminal.expect("begun")
        terminal.send_bytes(b"\x1a")
        for _ in range(2):
            terminal.expect("tick")
        terminal.expect("tick 9")
        terminal.send_bytes(b"\x03")
        assert terminal.wait() in (1, 130)
    finally:
        terminal.close()


def test_top_goes_on_after_ctrl_z(at: UnlockedProject) -> None:
    need(Path("/usr/bin/top").exists(), "top")
    terminal = at.terminal("top", "-d", "0.5")
    try:
        terminal.expect("PID")
        terminal.send_bytes(b"\x1a")
        terminal.expect("load average")
        terminal.expect("load average")
        terminal.send_bytes(b"q")
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_a_shell_that_is_run_has_jobs(at: UnlockedProject) -> None:
    terminal = at.terminal("bash", "--norc", "-i")
    try:
        terminal.expect("$ ")
        terminal.send_bytes(b"python3 -c 'import time; print(6 * 7, flush=True); time.sleep(100)'\n")
        terminal.expect("42\r\n")
        terminal.send_bytes(b"\x1a")
        terminal.expect("Stopped")
        terminal.send_bytes(b"kill -KILL %1; sleep 1; exit 5\n")
        ended = terminal.wait()
        assert ended == 5
    finally:
        terminal.close()


def test_the_end_of_a_program_on_a_terminal_is_told(at: UnlockedProject) -> None:
    for script, status in (("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)):
        terminal = at.terminal("sh", "-c", script)
        ended = terminal.wait()
        assert ended == status
        terminal.close()
    terminal = at.terminal("no-such-program")
    terminal.expect("has no program no-such-program")
    ended = terminal.wait()
    assert ended == 127
    terminal.close()
