"""The bundle of what a front imports: it is used while it says what the sources say, and never else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROBE = """
import json, sys
root = sys.argv[1]
sys.path.insert(0, root)
from rshell import bundle
used = bundle.load()
import rshell.front.main, rshell.commands.ls
from gateway import errors
from gateway.vault import store
where = errors.EncError.line.__code__
print(json.dumps({
    "used": used,
    "served": type(errors.__loader__).__name__,
    "file": store.__file__,
    "package": [sys.modules["gateway"].__path__, errors.__package__, sys.modules["gateway"].errors is errors],
    "code": where.co_filename, "line": where.co_firstlineno,
    "source": errors.__loader__.get_source("gateway.errors")[:20],
    "slug": errors.EncError.slug,
}))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """An installation: a copy of the code, with its bundle."""
    root = tmp_path / "code"
    for folder in ("gateway", "rshell"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build(root)
    return root


def python(*words: object) -> str:
    argv = [os.path.realpath(sys.executable), "-I", "-S", "-B", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def build(root: Path) -> None:
    python(root / "rshell/bundle.py")


def loaded(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(python("-c", PROBE, root))
    return found


def bundle(root: Path) -> Path:
    (path,) = root.glob("rshell/__pycache__/bundle.*.front")
    return path


def test_modules_of_the_bundle_are_as_if_imported(code: Path) -> None:
    with_it = loaded(code)
    bundle(code).unlink()
    without = loaded(code)
    assert (with_it.pop("used"), with_it.pop("served")) == (True, "_Loader")
    assert (without.pop("used"), without.pop("served")) == (False, "SourceFileLoader")
    assert with_it == without
    assert with_it["file"] == f"{code}/gateway/vault/store.py"


def longer(path: Path) -> None:
    path.write_text(path.read_text() + '\nEncError.slug = "replaced"\n')


def as_long_and_in_the_same_second(path: Path) -> None:
    """What a .pyc does not notice."""
    before = path.stat()
    path.write_text(path.read_text().replace('"internal"', '"replaced"', 1))
    os.utime(path, ns=(before.st_mtime_ns ^ 1, before.st_mtime_ns ^ 1))
    assert path.stat().st_size == before.st_size


@pytest.mark.parametrize("change", [longer, as_long_and_in_the_same_second])
def test_a_changed_source_wins(code: Path, change: Callable[[Path], None]) -> None:
    change(code / "gateway/errors.py")
    found = loaded(code)
    assert (found["used"], found["slug"]) == (False, "replaced")
    build(code)
    found = loaded(code)
    assert (found["used"], found["slug"]) == (True, "replaced")


def test_a_removed_source_is_gone(code: Path) -> None:
    (code / "rshell/commands/ls.py").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        loaded(code)


def test_code_that_was_moved_is_imported_from_where_it_is(code: Path) -> None:
    there = code.parent / "elsewhere"
    shutil.copytree(code, there, copy_function=shutil.copy2)
    code.rename(code.parent / "gone")
    found = loaded(there)
    assert (found["used"], found["code"]) == (False, f"{there}/gateway/errors.py")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="torn"),
        pytest.param(lambda data: b"\0\0\0\0" + data[4:], id="another Python's"),
        pytest.param(lambda data: data[:4] + b"i\1\0\0\0", id="not a bundle"),
    ],
)
def test_a_file_that_is_none_is_not_used(code: Path, damage: Callable[[bytes], bytes]) -> None:
    bundle(code).write_bytes(damage(bundle(code).read_bytes()))
    assert not loaded(code)["used"]
