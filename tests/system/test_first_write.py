"""The first thing done to a project that was just unlocked."""

from __future__ import annotations

from pathlib import Path

from tests.harness import Person


def test_the_first_file_is_taken_without_looking_first(person: Person, project: str, tmp_path: Path) -> None:
    """A FUSE root that nobody has looked at belongs to an unmapped uid, and the kernel refuses writes to it."""
    (tmp_path / "f").write_text("x")
    with person.mounted(project):
        result = person.copy("rsync", "--inplace", str(tmp_path / "f"), f"gateway:{project}/f")
        assert result.status == 0, result
