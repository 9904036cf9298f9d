"""An installation's logins run from the bundle, until a source changes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, bindir, run

PYTHON = os.path.realpath(bindir() / "python")


def site() -> Path:
    """Where the code under test is installed."""
    words = [str(bindir() / "python"), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(run(words).out.strip())


@pytest.fixture
def code(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the installation, which the gateways of this test run."""
    copy, programs = place / "copy", place / "copy-bin"
    shutil.copytree(site(), copy)
    programs.mkdir()
    program = programs / "enc-gateway"
    program.write_text(f'#!/bin/sh\nexec {bindir()}/python -I {copy}/gateway/__main__.py "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("ENC_BINDIR", str(programs))
    yield copy
    shutil.rmtree(copy)
    shutil.rmtree(programs)


@pytest.fixture
def person(code: Path, place: Path) -> Iterator[Person]:
    gateway = Gateway(place / "gw-bundle", {}).start()
    try:
        yield gateway.person("bundle")
    finally:
        gateway.stop()


def test_the_installation_has_a_bundle_that_counts() -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); from rshell import bundle; print(bundle.load())"
    assert run([PYTHON, "-I", "-S", "-c", script, str(site())]).out == "True\n"


def test_a_login_runs_from_the_bundle_until_a_source_changes(code: Path, person: Person) -> None:
    source = code / "rshell/commands/ls.py"
    text, kept = source.read_text(), source.stat()
    assert "no projects yet" in text

    # A bundle of words that the source does not have: only from there can they come
    source.write_text(text.replace("no projects yet", "NO PROJECTS YET"))
    os.utime(source, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    subprocess.run([PYTHON, "-I", "-S", str(code / "rshell/bundle.py")], check=True)
    source.write_text(text)
    os.utime(source, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert person.ssh("ls").out.startswith("NO PROJECTS YET")

    os.utime(source)
    assert person.ssh("ls").out.startswith("no projects yet")
