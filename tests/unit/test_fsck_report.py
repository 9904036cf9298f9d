"""What gocryptfs says in a check: what is damage, and what could only not be read."""

from __future__ import annotations

import pytest

from gateway.vault import fsck_report

LINES = [
    pytest.param('fsck: error opening file "a": open /tmp/x/a: permission denied', False, False, id="closed"),
    pytest.param('fsck: error opening dir "a": open /tmp/x/a: file name too long', False, False, id="too long"),
    pytest.param('fsck: error opening file "a": open /tmp/x/a: too many open files', False, False, id="descriptors"),
    pytest.param('fsck: error reading file "a" (inum 7): read /tmp/x/a: input/output error', True, True, id="EIO"),
    pytest.param('fsck: corrupt entry in dir "": "invalid_file"', True, False, id="a name"),
    pytest.param(
        'fsck: error reading file "permission denied": read x: cannot', True, False, id="a name like an errno"
    ),
]


@pytest.mark.parametrize(("line", "damage", "disk"), LINES)
def test_what_a_line_means(line: str, damage: bool, disk: bool) -> None:
    report = fsck_report.parse(f"Decrypting master key\n{line}\nfsck summary: 1 corrupt files, 0 files skipped\n")
    said = (line.removeprefix("fsck: "),)
    assert (report.damage, report.unread) == ((said, ()) if damage else ((), said))
    assert report.disk == disk


def test_a_sound_project_has_nothing() -> None:
    assert fsck_report.parse("fsck summary: no problems found\n") == fsck_report.Report(
        damage=(), unread=(), disk=False
    )
