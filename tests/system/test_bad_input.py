"""What goes wrong is said in one line, with the right code, and leaves everything as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.identity.names import Principal
from tests.harness import PASSPHRASE, Gateway, Person, Result, eventually, need

ONE_LINE = re.compile(r"enc: [\x20-\x7e]+\n")
NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
PAGE = os.sysconf("SC_PAGE_SIZE")
PIPED = "reading one line from standard input; what you type is visible: use ssh -t to hide it\n"


def complaint(result: Result) -> str:
    """The one line of ours on standard error; notes before a secret is read left out."""
    line = result.err.replace(PIPED, "")
    line = re.sub(r"^(The passphrase needs|waiting) .*\n", "", line, flags=re.MULTILINE)
    assert ONE_LINE.fullmatch(line), result
    assert result.out == ""
    return line


def mount(person: Person, project: str, passphrase: str = PASSPHRASE) -> Result:
    """`mount PROJECT` to its end."""
    return person.ssh("mount", project, stdin=passphrase + "\n")


# --- passphrases


def test_a_wrong_passphrase_is_one_line_77_and_nothing_mounted(person: Person, project: str) -> None:
    result = mount(person, project, "Correct horse battery staple")
    assert result.status == 77
    assert complaint(result) == "enc: wrong passphrase\n"
    assert person.ssh("status", "--json").json == {"sessions": []}
    assert mount(person, project, "").status == 77


def test_the_delay_after_wrong_passphrases_grows_and_does_not_hold_up_others(
    gateway: Gateway, person: Person, project: str
) -> None:
    other = gateway.person(f"{person.name}-other")
    other.new("theirs")
    waits: list[float] = []
    tries = 0
    while len(waits) < 2:  # a slow machine has done its waiting by itself when it comes to the shorter ones
        result = mount(person, project, "wrong wrong wrong")
        assert result.status == 77
        waits += [float(found) for found in re.findall(r"waiting ([\d.]+) s after", result.err)]
        tries += 1
        assert tries < 7
    assert 0 < waits[0] < waits[1], waits
    turn = person.hold("mount", project, stdin=PASSPHRASE + "\n")
    try:
        asked = eventually(lambda: gateway.events("request", fingerprint=person.fingerprint, verb="mount")[tries:])
        assert asked
        with other.mounted("theirs"):
            assert "unlocked" not in turn.said
        turn.read_until(f"unlocked {project}")
    finally:
        turn.end()


def test_the_right_passphrase_forgives_the_wrong_ones(person: Person, project: str) -> None:
    assert mount(person, project, "wrong").status == 77
    with person.mounted(project):
        pass
    eventually(lambda: person.ssh("status", "--json").json == {"sessions": []})
    assert "waiting" not in mount(person, project, "wrong").err


@pytest.mark.parametrize("stdin", ["", "x" * 3000 + "\n"], ids=["no line", "an endless line"])
def test_mount_without_a_passphrase_is_64(person: Person, project: str, stdin: str) -> None:
    result = person.ssh("mount", project, stdin=stdin)
    assert result.status == 64
    complaint(result)


# --- commands and names


@pytest.mark.parametrize("line", ["sh", "bash -i", "/bin/sh", "scp2", "LS", "''", "ls-", "é"])
def test_an_unknown_command_is_127_and_one_line_that_names_help(person: Person, line: str) -> None:
    result = person.ssh(line)
    assert result.status == 127
    assert "`help`" in result.err and re.fullmatch(r"enc: [^\n]+\n", result.err)
    assert result.out == ""


REFUSED_LINES = {
    "two commands": "ls; id",
    "a pipe": "ls | sh",
    "background": "ls & id",
    "and": "ls && id",
    "substitution": "ls $(id)",
    "backquotes": "ls `id`",
    "a variable": "ls $HOME",
    "a redirection": "ls > /tmp/x",
    "input": "new p < /etc/passwd",
    "a glob": "ls *",
    "a brace": "ls {a,b}",
    "a home": "ls ~root",
    "a subshell": "(ls)",
    "a comment": "# ls",
    "an open quote": "ls 'a",
    "a second line": "ls\nid",
    "a carriage return first": "\rls",
    "an escape sequence": "\x1b]0;title\x07",
    "a C1 control": "\u009b31m",
    "not UTF-8": b"\xff\xfels",
    "an endless line": "ls " + "a" * 9000,
    "operators in a transfer": "scp -t myproj/;id",
    "a substitution in a transfer": "rsync --server . myproj/$(id)",
}


@pytest.mark.parametrize("line", REFUSED_LINES.values(), ids=REFUSED_LINES)
def test_what_a_shell_would_act_on_is_127(person: Person, line: str | bytes) -> None:
    result = person.ssh(line if isinstance(line, str) else os.fsdecode(line))
    assert result.status == 127
    said = complaint(result) if result.err else result.out.removeprefix("\x02")  # scp is told in its own protocol
    assert "`help`" in said and "uid=" not in said


BAD_NAMES = {
    "parent": "..",
    "here": ".",
    "hidden": ".trash",
    "a path": "a/b/c",
    "an absolute path": "/etc",
    "out of it": "../other",
    "dots inside": "a..b",
    "a leading -": "-rf",
    "a leading _": "_a",
    "upper case": "Myproj",
    "empty": "''",
    "a blank": "'a b'",
    "a quoted operator": "'a;id'",
    "a bell": "a\x07b",
    "an escape sequence": "'\x1b[31mred'",
    "DEL": "a\x7f",
    "a newline": "'a\nb'",
    "a tab": "'a\tb'",
    "right-to-left override": "a\u202eb",
    "64 characters": "a" * 64,
    "1000 characters": "a" * 1000,
    "Cyrillic that looks Latin": "\u0430bc",
    "an accent": "caf\u00e9",
    "Chinese": "\u9879\u76ee",
    "not UTF-8": os.fsdecode(b"a\xff"),
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_bad_name_is_64_and_one_printable_line(person: Person, name: str) -> None:
    result = person.ssh("mount", name)
    assert result.status == 64
    assert "that is not a valid" in complaint(result)


@pytest.mark.parametrize("verb", ["new", "unmount", "rm"])
def test_bad_names_are_refused_by_every_command(gateway: Gateway, person: Person, verb: str) -> None:
    before = tree(gateway.vaults)
    for name in ("..", "a/b/c", "-rf", "a\x07b", "caf\u00e9"):
        result = person.ssh(verb, name, stdin=PASSPHRASE + "\n")
        assert result.status == 64
        complaint(result)
    assert tree(gateway.vaults) == before


def test_the_longest_name_is_a_name(person: Person) -> None:
    name = "a" + "._-0z" * 12 + "zz"
    assert len(name) == 63
    person.new(name)
    with person.mounted(name):
        assert person.sftp(f"mkdir {name}/d").status == 0


def test_unknown_and_somebody_elses_project_answer_alike(gateway: Gateway, person: Person) -> None:
    owner = gateway.person(f"{person.name}-owner")
    lines = [f"{verb} theirs" for verb in ("mount", "unmount", "rm --yes", "scp -t --", "scp -f", "rsync --server .")]
    lines += ["mount --json theirs", "unmount --json theirs"]

    def answers() -> list[Result]:
        return [person.ssh(line, stdin=PASSPHRASE + "\n") for line in lines]

    unknown = answers()
    assert {result.status for result in unknown} == {66}
    owner.new("theirs")
    with owner.mounted("theirs"):
        assert answers() == unknown


# --- the host


def without(program: str) -> str:
    """A host on which `program` is no program."""
    return f"mount --bind /dev/null {program}"


NO_FUSE = """
dev=$(mktemp -d)
mount -t tmpfs none "$dev"
for node in null zero full random urandom tty; do
    : >"$dev/$node"
    mount --bind "/dev/$node" "$dev/$node"
done
ln -s /proc/self/fd "$dev/fd"
mount --rbind "$dev" /dev
"""

HOSTS = {
    "bubblewrap missing": (without("/usr/bin/bwrap"), "/usr/bin/bwrap is missing", "apt install bubblewrap"),
    "gocryptfs missing": (without("/usr/bin/gocryptfs"), "/usr/bin/gocryptfs is missing", "apt install gocryptfs"),
    "FUSE missing": (NO_FUSE, "no FUSE (/dev/fuse)", "modprobe fuse"),
    "FUSE refused": ("mount --bind /dev/null /dev/fuse", "refuses the FUSE mount", ""),
    "user namespaces refused": ("echo 0 >/proc/sys/user/max_user_namespaces", "user namespaces", "sysctl"),
}


@pytest.mark.parametrize(("host", "what", "hint"), HOSTS.values(), ids=HOSTS)
def test_what_the_host_lacks_is_named_with_what_to_do(
    make_gateway: Callable[..., Gateway], person: Person, project: str, host: str, what: str, hint: str
) -> None:
    need(NAMESPACES.read_text() != "0\n", "user namespaces")
    lacking = make_gateway(host).person("somebody")
    shutil.copytree(vault_of(person, project), vault_of(lacking, project))
    before = tree(lacking.gateway.vaults)
    result = mount(lacking, project)
    assert result.status == 75
    said = complaint(result)
    assert what in said and hint in said
    assert tree(lacking.gateway.vaults) == before
    assert lacking.ssh("status", "--json").json == {"sessions": []}
    eventually(lambda: not lacking.gateway.leftovers())


def test_new_says_that_gocryptfs_is_missing_and_leaves_nothing(make_gateway: Callable[..., Gateway]) -> None:
    need(NAMESPACES.read_text() != "0\n", "user namespaces")
    lacking = make_gateway(without("/usr/bin/gocryptfs")).person("somebody")
    result = lacking.ssh("new", "p", stdin=PASSPHRASE + "\n")
    assert result.status == 75
    assert "gocryptfs is missing" in complaint(result)
    assert list(lacking.gateway.vaults.glob("*/*")) == []


def test_a_full_disk_during_new_leaves_nothing(make_gateway: Callable[..., Gateway], ground: Path) -> None:
    """With one page more each time, until it fits: every step of the making meets the full disk."""
    need(NAMESPACES.read_text() != "0\n", "user namespaces")
    disk = ground / "disk"
    disk.mkdir()
    pages = 24
    gateway = make_gateway(
        f"mount -t tmpfs -o mode=0700,size={pages * PAGE} none {disk}", **{"paths.vaults": str(disk)}
    )
    person = gateway.person("somebody")
    filler = Path(f"/proc/{gateway.pid}/root{disk}/filler")  # the disk is in the gateway's namespace alone
    for free in range(pages):
        filler.write_bytes(b"x" * (pages - free) * PAGE)
        result = person.ssh("new", "p", stdin=PASSPHRASE + "\n")
        if result.status == 0:
            break
        assert result.status == 73
        assert "no space left" in complaint(result).lower()
        assert list(filler.parent.glob("*/*")) == []
    assert result.status == 0 and free > 2
    with person.mounted("p"):  # on the full disk, too: or nobody could make room
        assert person.sftp("mkdir p/d").status != 0
        assert person.ssh("unmount", "p").status == 0


# --- vaults


def vault_of(person: Person, project: str) -> Path:
    """Where the vault of a person without ENC_USER is."""
    return person.gateway.vaults / Principal.of_fingerprint(person.fingerprint).directory / project


DAMAGE = {
    "no config": ("rm slots/passphrase.conf", "slots"),
    "an empty config": (": >slots/passphrase.conf", "slots"),
    "a truncated config": ("truncate -s 100 slots/passphrase.conf", "its unlock slots cannot be read"),
    "a config of something else": ("echo '{\"a\": 1}' >slots/passphrase.conf", "its unlock slots cannot be read"),
    "a config that is a directory": ("rm slots/passphrase.conf; mkdir slots/passphrase.conf", "damaged"),
    "no slot description": ("rm slots/passphrase.toml", "no unlock slot"),
    "a truncated slot description": ("truncate -s 20 slots/passphrase.toml", "slots"),
    "a slot of an unknown kind": ("sed -i s/passphrase/magic/ slots/passphrase.toml", "slots"),
    "a slot with an unknown field": ("echo 'other = \"x\"' >>slots/passphrase.toml", "slots"),
    "a binary slot description": ("head -c 100 /dev/zero >slots/passphrase.toml", "slots"),
    "no slots": ("rm -r slots", "damaged"),
    "slots elsewhere": ("mv slots s; ln -s s slots", "slots is not a directory"),
    "no vault.toml": ("rm vault.toml", "damaged"),
    "an empty vault.toml": (": >vault.toml", "damaged"),
    "a vault.toml that is not UTF-8": ("printf '\\377' >>vault.toml", "damaged"),
    "a format of the future": ("sed -i 's/^format = .*/format = 99/' vault.toml", "has format 99"),
    "no cipher": ("rm -r cipher", "damaged"),
    "a cipher that is a file": ("rm -r cipher; : >cipher", "cipher is not a directory"),
    "no gocryptfs.diriv": ("rm cipher/gocryptfs.diriv", "damaged"),
    "a lock that is a link": ("ln -sf vault.toml lock", "damaged"),
    "a lock that is a directory": ("rm lock; mkdir lock", "damaged"),
    "empty": ("rm -r *", "damaged"),
}


@pytest.mark.parametrize(("damage", "what"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_vault_is_named_and_left_as_it_is(person: Person, project: str, damage: str, what: str) -> None:
    vault = vault_of(person, project)
    account = vault.stat()
    subprocess.run(["sh", "-euc", damage], cwd=vault, check=True)
    for path in (vault, *vault.rglob("*")):
        os.chown(path, account.st_uid, account.st_gid, follow_symlinks=False)
    before = tree(vault)
    result = mount(person, project)
    assert (result.status, what in complaint(result)) == (65, True), result
    assert tree(vault) == before
    assert person.ssh("status", "--json").json == {"sessions": []}
    assert person.ssh("ls").status == 0


@pytest.mark.parametrize("part", [".", "cipher", "slots"])
def test_a_vault_of_another_account_is_named_and_left_as_it_is(person: Person, project: str, part: str) -> None:
    need(os.geteuid() == 0, "root, to give a file away")
    vault = vault_of(person, project)
    os.chown(vault / part, -1, 12345)
    before = tree(vault)
    result = mount(person, project)
    assert result.status == 65
    assert "belongs to another account; a sysadmin can chown" in complaint(result)
    assert tree(vault) == before


def test_a_file_among_the_projects_is_no_project(person: Person, project: str) -> None:
    (vault_of(person, project).parent / "stray").write_text("")
    assert person.ssh("mount", "stray", stdin=PASSPHRASE + "\n").status == 66
    assert person.ssh("ls").status == 0


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root`: kind, mode, owner, content and time (not that of a lock, which is its last use)."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        when = 0 if path.name in ("lock", "holder") else about.st_mtime_ns
        found[str(path)] = (about.st_mode, about.st_uid, about.st_gid, content, when)
    return found
