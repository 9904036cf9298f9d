"""Each defect of gateway/vault/defects.py: the installed gocryptfs has it, and through the gateway nobody meets it.

A test of the first kind fails when the distribution's gocryptfs has the defect no more: then its guard may go, as soon
as no supported distribution has an older version.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.vault import defects, gocryptfs
from tests.harness import PASSPHRASE, Gateway, Person, eventually
from tests.laptop import laptop
from tests.life import connection
from tests.running import UnlockedProject, unlocked_project

LONG = "l" * 180
"""So long that gocryptfs keeps the name in a file of its own."""
LOSE = f"mkdir new {LONG}; echo x >new/f; mv -T new {LONG}"
LINK = "printf hello >a; ln a b; stat -c %s a; echo more >>a; cat a | od -An -c"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Path]:
    """A view of gocryptfs alone, without the gateway."""
    cipher, view = tmp_path / "cipher", tmp_path / "view"
    cipher.mkdir()
    view.mkdir()
    secret = tmp_path / "secret"
    secret.write_text(PASSPHRASE)
    words = [gocryptfs.PROGRAM, "-q", "-nosyslog", "-passfile", str(secret)]
    subprocess.run([*words, "-init", "-scryptn", "10", str(cipher)], check=True)
    process = subprocess.Popen([*words, "-fg", str(cipher), str(view)])
    try:
        eventually(lambda: os.path.ismount(view) or process.poll() is not None)
        assert process.poll() is None
        yield view
    finally:
        subprocess.run(["fusermount3", "-uz", str(view)], check=False)
        process.wait(10)


@pytest.fixture(scope="module")
def at(gateway: Gateway) -> Iterator[UnlockedProject]:
    with unlocked_project(gateway, "defects") as made:
        yield made


def has(defect: defects.Defect) -> bool:
    return defect in defects.found(defects.parse(gocryptfs.version_text()))


def sh(where: Path, script: str) -> str:
    done = subprocess.run(["sh", "-c", script], cwd=where, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_this_gocryptfs_answers_a_link_with_a_wrong_size_if_its_version_says_so(bare: Path) -> None:
    assert (r"\0  \0" in sh(bare, LINK)) == has(defects.HARD_LINKS)


def test_no_program_makes_a_hard_link_that_corrupts(at: UnlockedProject) -> None:
    said = at.sh(LINK)
    assert said.out.split() == ["5", *"hellomore", "\\n"]
    assert ("failed to create hard link 'b' => 'a': Operation not permitted" in said.err) == has(defects.HARD_LINKS)


WAYS = [
    "cp -l a b",
    'python3 -c \'import os; os.link("a", "b")\'',
    'perl -e \'link("a", "b")\'',
    "mkdir s d; cp -p a s/a; rsync -a --link-dest=$PWD s/ d/; mv d/a b",
    "tar cf - a | tar xf - --transform=s,a,b,",
]


@pytest.mark.parametrize("way", WAYS)
def test_nor_does_any_other_way_to_make_one(at: UnlockedProject, way: str) -> None:
    said = at.sh(
        f"rm -rf a b s d; printf hello >a; {{ {way}; }} 2>/dev/null; echo more >>a; cat a; test ! -e b || cat b"
    ).out
    assert said in ("hellomore\n", "hellomore\nhellomore\n", "hellomore\nhello")
    assert at.sh("find . -links +1 -type f").out == "" or not has(defects.HARD_LINKS)


def test_git_copies_what_it_cannot_link(at: UnlockedProject) -> None:
    made = at.sh(
        "git init -q r; cd r; echo x >f; git add f; git -c user.name=a -c user.email=b commit -qm x; cd ..;"
        "git clone -q --bare r r.git && git clone -q r.git co && git -C co gc -q && git -C co fsck && cat co/f"
    )
    assert (made.status, made.out) == (0, "x\n"), made.err


def test_what_cannot_be_linked_is_named_and_the_rest_arrives(at: UnlockedProject) -> None:
    made = at.sh(
        "cd /tmp; mkdir d; echo x >d/1; ln d/1 d/2; echo y >d/3; tar -cf t.tar d/1 d/2 d/3; cd - >&2;"
        " tar -xf /tmp/t.tar"
    )
    if has(defects.HARD_LINKS):
        assert made.status == 2 and "Cannot hard link to" in made.err
    assert at.sh("cat d/1 d/3").out == "x\ny\n"


def test_no_hard_link_through_a_mount_corrupts(person: Person) -> None:
    person.new("one")
    with laptop(person) as mine:
        said = sh(mine.mount("one"), LINK)
        assert "".join(said.split()).startswith("5hellomore\\n"), said
        assert ("failed to create hard link" in said) == has(defects.HARD_LINKS)


def test_this_gocryptfs_loses_a_long_name_if_its_version_says_so(bare: Path) -> None:
    assert (sh(bare, f"{LOSE}; ls 2>/dev/null") == "") == has(defects.LOST_NAMES)
    assert sh(bare, f"cat {LONG}/f") == "x\n"


def test_fsck_gives_a_new_name_to_what_has_lost_its_own(person: Person) -> None:
    person.new("one")
    with unlocked(person) as at:
        at.sh(f"{LOSE}; mkdir -p 'deep/a b' && cd 'deep/a b' && touch recovered-1 && {LOSE}")
        assert at.run("ls").out.split() == ["deep"]
    eventually(lambda: not live(person))
    checked = person.ssh("fsck", "one", "--json", stdin=PASSPHRASE + "\n")
    assert (checked.status, checked.json["sound"]) == (0, True), checked
    assert sorted(checked.json["recovered"]) == ["deep/a b/recovered-2", "recovered-1"]  # type: ignore[call-overload]
    again = person.ssh("fsck", "one", stdin=PASSPHRASE + "\n")
    assert (again.status, again.out) == (0, "one is sound\n")
    with unlocked(person) as at:
        assert at.run("cat", "recovered-1/f", "deep/a b/recovered-2/f").out == "x\nx\n"
        assert at.sh("mkdir recovered-1/new && rm -r recovered-1 deep && ls").out == ""


def test_this_gocryptfs_shows_the_wrong_mode_of_a_new_directory_if_its_version_says_so(bare: Path) -> None:
    (bare / "new").mkdir(mode=0o555)
    assert ((bare / "new").stat().st_mode & 0o777 != 0o555) == has(defects.NEW_MODES)


@contextlib.contextmanager
def unlocked(person: Person) -> Iterator[UnlockedProject]:
    with person.mounted("one") as held, connection(person) as shared:
        yield UnlockedProject(person.gateway, person, "one", held, shared)


def live(person: Person) -> list[dict[str, object]]:
    """The sessions of this person; the gateway has those of others."""
    return [one for one in person.gateway.sessions() if one["fingerprint"] == person.fingerprint]
