"""The shape of the client: small in the background, thin in front, and one door for each outside thing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from client.errors import EncError
from tests.unit.test_architecture import MODULES, ROOT, attributes, imports, name_of, strings

CLIENT = [path for path in MODULES if name_of(path).startswith("client/")]

TEXTS = [
    pytest.param(
        "StrictHostKeyChecking", ["client/connection/host_key.py", "client/connection/ssh.py"], id="host keys"
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
    pytest.param({"os.fork"}, ["client/mount/probe.py"], id="the question that may hang"),
    pytest.param({"os.system", "os.popen", "eval", "exec"}, [], id="by a shell"),
    pytest.param({"os.statvfs", "os.fstatvfs"}, ["client/mount/probe.py"], id="asking a mount"),
]


@pytest.mark.parametrize(("names", "modules"), CALLED)
def test_one_module_calls_it(names: set[str], modules: list[str]) -> None:
    assert [name_of(path) for path in CLIENT if names & set(attributes(path))] == modules


def test_nothing_runs_through_a_shell() -> None:
    for path in CLIENT:
        assert "shell=True" not in path.read_text()


def test_click_is_for_the_command_line_alone() -> None:
    allowed = ("client/commands/", "client/cli.py", "client/options.py", "client/completion.py")
    assert not [name_of(path) for path in CLIENT if "click" in imports(path) and not name_of(path).startswith(allowed)]


def test_what_runs_in_the_background_needs_the_standard_library_alone_and_little_of_it() -> None:
    code = f"import sys; sys.path.append({str(ROOT)!r}); import client.background.main; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not set(said.stdout.split()) & {"click", "asyncio", "dataclasses", "inspect", "tomllib", "ctypes", "gateway"}


def test_every_error_has_an_exit_code_and_a_name_of_its_own_in_the_docs() -> None:
    table = (ROOT / "docs" / "client.md").read_text()
    for kind in EncError.__subclasses__():
        if "slug" in vars(kind):
            assert f"| {kind.code} | `{kind.slug}` |" in table, kind
