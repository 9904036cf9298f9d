"""What `enc push`, `enc pull` and `enc cp` make of their words, and what confines the rsync that they run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from client.errors import Usage
from client.operations import complaints, copying_there, project_path, rsync, survey
from client.operations.project_path import ProjectPath
from client.system import children, landlock
from tests.harness import need, need_root

KEY = "SHA256:" + "aB3_-" * 8 + "abc"

PLACES = [
    ("p", "p", ""),
    ("p:", "p", ""),
    ("p:a/b", "p", "a/b"),
    ("p:./a//b/.", "p", "a/b"),
    ("p:a:b", "p", "a:b"),
    ("p:-a b*", "p", "-a b*"),
    ("p:a..b", "p", "a..b"),
    ("alice/plan:q:", "alice/plan", "q:"),
    ("alice/plan", "alice/plan", ""),
    (f"{KEY}/plan", f"{KEY}/plan", ""),
    (f"{KEY}/plan:a", f"{KEY}/plan", "a"),
]


@pytest.mark.parametrize(("word", "project", "path"), PLACES)
def test_a_place_is_a_project_and_a_path_below_it(word: str, project: str, path: str) -> None:
    assert project_path.parse(word) == ProjectPath(project, path)
    assert project_path.is_one(word) == (":" in word.removeprefix(KEY))


@pytest.mark.parametrize(
    "word",
    [
        "",
        ":",
        ":a",
        "P",
        "P:a",
        "../p:a",
        "p/q/r:a",
        "p:..",
        "p:a/../b",
        "p:/etc",
        "p:/",
        KEY,
        f"p:{'x/' * 2100}",
        "-p:a",
    ],
)
def test_what_is_no_place_is_refused(word: str) -> None:
    with pytest.raises(Usage):
        project_path.parse(word)


def test_cp_has_paths_of_one_project() -> None:
    assert copying_there.paths_of(("p:a", "p:b/", "p:")) == ("p", ["a", "b/", "."])
    assert copying_there.paths_of((f"{KEY}/p:-a", f"{KEY}/p:b")) == (f"{KEY}/p", ["-a", "b"])
    for words in (
        ("p:a",),
        ("a", "b"),
        ("p:a", "b"),
        ("a", "p:b"),
        ("p:a", "q:b"),
        ("p:a", "b", "p:c"),
        ("p:..", "p:"),
    ):
        with pytest.raises(Usage) as refused:
            copying_there.paths_of(words)
        assert refused.value.hint


def test_a_path_is_no_pattern_and_a_pattern_matches_one_path() -> None:
    assert rsync._literal("a\\*b [x]\\y") == "a\\\\*b \\[x\\]\\y"
    assert rsync.pattern("a\\b") == b"/a\\b" and rsync.pattern("a\\*") == b"/a\\\\\\*"


def test_a_comparison_is_read_as_rsync_writes_it() -> None:
    said = b'.d..t......\nskipping non-regular file "a b"\n>f+++++++++\n*deleting  \n'
    end = b"\nNumber of files: 1,006 (reg: 1,000, dir: 3, link: 1, special: 2)\nNumber of created files: 0\n"
    found = rsync._comparison(said + end)
    assert found.differences == [b"t", b"+++++++++", b"eleting"] and found.skipped == ("a b",) and found.total == 1003
    assert rsync._comparison(end).differences == [] == rsync._comparison(b"").differences
    assert rsync._comparison(b"what a later rsync writes\n").differences, "what is not known is a difference"


def test_why_a_program_failed_is_one_line_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    end = "rsync error: error in protocol (code 12) at io.c(231)\n"
    lost = f"rsync: connection unexpectedly closed (0 bytes received so far) [sender]\n{end}"
    assert complaints.reason("rsync", f"enc: no \x1b[31m\n{lost}", 12) == "no ?[31m"
    assert complaints.reason("rsync", lost, 12) == "the connection has ended"
    assert complaints.reason("cp", "cp: cannot stat 'a'\n", 1) == "cannot stat 'a'"
    assert complaints.reason("rsync", "a\nb\n", 23, quiet=True) == "rsync failed with exit status 23"
    assert capsys.readouterr().err == ""
    assert complaints.reason("rsync", "a \x9b1m warning\n" * 20, 0) == ""
    said = capsys.readouterr().err
    assert said.count("a ?1m warning\n") == 10 and said.endswith("...\n")


def test_links_that_lead_out_are_found(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    targets = {"a": "/etc", "b": "d", "d/c": "../b", "d/e": "../../x", "f": "d/../../g", "h": "nowhere"}
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
    assert sorted(survey.leading_out(str(tmp_path))) == ["a", "d/e", "f"]


def test_a_pull_takes_no_attribute_that_gives_rights(tmp_path: Path) -> None:
    need_root()
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "f").write_text("x")
    (source / "f").chmod(0o6755)
    capability = b"\x01\x00\x00\x02" + b"\xff" * 4 + b"\x00" * 12  # cap_setuid and others, effective (capability.h)
    for name, value in (("security.capability", capability), ("trusted.x", b"x"), ("user.x", b"x")):
        os.setxattr(source / "f", name, value)
    words = ["rsync", *rsync._COPIES, *rsync._RECEIVES, "--", f"{source}/", f"{target}/"]
    subprocess.run(words, check=True)
    assert os.listxattr(target / "f") == ["user.x"]
    assert (target / "f").stat().st_mode & 0o7777 == 0o755


def confined(directory: Path, script: str, writes: bool) -> tuple[int, str]:
    with landlock.confined(str(directory), writes, ()) as confine:
        need(confine is not None, "no Landlock")
        return children.complaints(["/bin/sh", "-c", script], confine=confine, cwd=directory)


def test_a_confined_program_has_its_directory_and_installed_programs(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    script = "echo x >f && mkdir d && mv f d/f && ln d/f g && cat d/f >/dev/null && rm g && id -u >/dev/null"
    assert confined(inside, script, True) == (0, "")
    for tried in (
        "cat ../secret",
        ": >../new",
        "ls ..",
        "rm ../secret",
        "mv d ../d",
        "mkfifo p",
        "cp /bin/true t && ./t",
    ):
        status, said = confined(inside, tried, True)
        assert status and "Permission denied" in said, (tried, said)
    assert sorted(os.listdir(tmp_path)) == ["inside", "secret"]
    assert confined(inside, "cat d/f >/dev/null; ls >/dev/null", False) == (0, "")
    for tried in (": >h", "rm -r d", "echo y >d/f"):
        assert confined(inside, tried, False)[0], tried
    assert (inside / "d" / "f").read_text() == "x\n"
