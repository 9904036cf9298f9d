"""Each defect of gateway/vault/defects.py: the installed gocryptfs has it, and through the gateway nobody meets it.

A test of the first kind fails when the distribution's gocryptfs has the defect no more: then its guard may go, as soon
as no supported distribution has an older version.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.vault import defects, gocryptfs
from tests.harness import PASSPHRASE, Gateway, Person, eventually
from tests.laptop import laptop
from tests.running import UnlockedProject, unlocked_project

LONG = "l" * 180
"""So long that gocryptfs keeps the name in a file of its own."""
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
