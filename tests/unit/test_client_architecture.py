"""The shape of the client: rooms with imports in one direction, small in the background, one door for each thing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from client.errors import EncError
from tests.unit.test_architecture import MODULES, ROOT, attributes, imports, name_of, strings

CLIENT = [path for path in MODULES if name_of(path).startswith("client/")]
EACH = [pytest.param(path, id=name_of(path)) for path in CLIENT]

ROOMS = (
    ("client/errors.py",),
    ("client/system/",),
    ("client/state/",),
    ("client/connection/",),
    ("client/mount/",),
    ("client/background/",),
    ("client/workspace/",),
    ("client/operations/",),
    ("client/output.py", "client/options.py", "client/completion.py", "client/reaching.py"),
    ("client/commands/",),
    ("client/cli.py",),
)
"""From the bottom up: a module imports from its own row and from those above it in this table."""


def room(path: Path) -> int:
    (number,) = [number for number, names in enumerate(ROOMS) if name_of(path).startswith(names)]
    return number


def modules_of(path: Path) -> Iterator[Path]:
    """The modules of the client that it imports, anywhere in it."""
    for name in imports(path):
        parts = name.split(".")
        candidates = [ROOT.joinpath(*parts).with_suffix(".py"), ROOT.joinpath(*parts[:-1]).with_suffix(".py")]
        found = [candidate for candidate in candidates if candidate in CLIENT]
        assert found or parts[0] != "client", f"{name_of(path)} imports {name}, which is no module"
        yield from found


PACKAGES = [path for path in CLIENT if path.name == "__init__.py"]


def test_a_package_imports_nothing() -> None:
    for path in PACKAGES:
        assert not list(imports(path)), name_of(path)


@pytest.mark.parametrize("path", [param for param in EACH if param.values[0] not in PACKAGES])
def test_imports_go_from_the_command_line_down(path: Path) -> None:
    assert not [name_of(other) for other in modules_of(path) if room(other) > room(path)]


def test_no_import_is_part_of_a_cycle() -> None:
    TopologicalSorter({path: set(modules_of(path)) for path in CLIENT}).prepare()


@pytest.mark.parametrize("path", EACH)
def test_a_module_fits_in_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_a_folder_has_at_most_15_modules() -> None:
    for folder in {path.parent for path in CLIENT} - {ROOT / "client" / "commands"}:
        assert len(list(folder.glob("*.py"))) <= 15, folder


TEXTS = [
    pytest.param(
        "StrictHostKeyChecking",
        ["client/connection/host_key.py", "client/connection/ssh_options.py", "client/workspace/files.py"],
        id="host keys",
    ),
    pytest.param(
        "ssh-keygen",  # the first two only name it
        ["client/commands/init.py", "client/connection/ssh_errors.py", "client/connection/ssh_keygen.py"],
        id="key files",
    ),
    pytest.param("/proc/", ["client/connection/ssh.py", "client/system/linux.py"], id="Linux"),
    pytest.param("fusermount3", ["client/system/linux.py"], id="unmounting"),
    pytest.param("allow_other", [], id="nobody lets others in"),
    pytest.param("systemd-inhibit", ["client/background/sleep_inhibitor.py"], id="logind"),
]


@pytest.mark.parametrize(("text", "modules"), TEXTS)
def test_one_module_knows_it(text: str, modules: list[str]) -> None:
    found = [name_of(path) for path in CLIENT if any(text in said for said in strings(path))]
    assert [name for name in found if name != "client/operations/doctor.py"] == modules


CALLED = [
    pytest.param({"os.fork"}, ["client/mount/probe.py"], id="the probe that may hang"),
    pytest.param({"os.system", "os.popen", "eval", "exec"}, [], id="by a shell"),
    pytest.param({"os.statvfs", "os.fstatvfs"}, ["client/mount/probe.py"], id="probing a mount"),
    pytest.param({"os.rename", "os.replace", "os.fsync"}, ["client/system/files.py"], id="replacing a file"),
    pytest.param({"fcntl.flock", "fcntl.lockf"}, ["client/system/files.py"], id="locking a file"),
    pytest.param({"os.memfd_create"}, ["client/connection/ssh.py"], id="a file in memory"),
]


@pytest.mark.parametrize(("names", "modules"), CALLED)
def test_one_module_calls_it(names: set[str], modules: list[str]) -> None:
    assert [name_of(path) for path in CLIENT if names & set(attributes(path))] == modules


def test_nothing_runs_through_a_shell() -> None:
    for path in CLIENT:
        assert "shell=True" not in path.read_text()


def test_click_is_for_the_command_line_alone() -> None:
    allowed = ("client/commands/", "client/cli.py", "client/options.py", "client/output.py", "client/completion.py")
    assert not [name_of(path) for path in CLIENT if "click" in imports(path) and not name_of(path).startswith(allowed)]


def test_what_runs_in_the_background_needs_the_standard_library_alone_and_little_of_it() -> None:
    code = f"import sys; sys.path.append({str(ROOT)!r}); import client.background.main; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(said.stdout.split())
    assert {"client.background.watchdog", "client.background.monitor"} <= loaded
    assert not loaded & {"click", "asyncio", "dataclasses", "inspect", "tomllib", "ctypes", "_hashlib", "gateway"}


def test_help_loads_nothing_that_only_a_command_needs() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import client.cli; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in said.stdout.split() if name.partition(".")[0] == "client"}
    modules = {"client.cli", "client.errors", "client.options", "client.output", "client.state.config"}
    assert ours - {"client", "client.state", "client.system"} == modules | {
        "client.system.files",
        "client.system.terminal_text",
    }


def test_every_error_has_an_exit_code_and_a_name_of_its_own_in_the_docs() -> None:
    table = (ROOT / "docs" / "client.md").read_text()
    for kind in EncError.__subclasses__():
        if "slug" in vars(kind):
            assert f"| {kind.code} | `{kind.slug}` |" in table, kind
