"""The shape of the code: who imports whom, one door for each outside thing, and what a request may not load."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("gateway", "rshell", "client")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, anywhere in it; `from a import b` gives `a.b`, for b may be a module."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def strings(path: Path) -> Iterator[str]:
    """Every text in a module's code, parts of f-strings among them, but no docstrings: they may explain."""
    docstrings = {node.value for node in ast.walk(syntax(path)) if isinstance(node, ast.Expr)}
    nodes = (node for node in ast.walk(syntax(path)) if isinstance(node, ast.Constant) and node not in docstrings)
    yield from (node.value for node in nodes if isinstance(node.value, str))


def attributes(path: Path) -> Iterator[str]:
    """`os.fork` and the like, and the names that are called."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


EACH = [pytest.param(path, id=name_of(path)) for path in MODULES]
MAY_IMPORT = {"gateway": {"gateway"}, "rshell": {"rshell", "gateway"}, "client": {"client"}}


def test_there_is_code_to_look_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(FOLDERS)
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", EACH)
def test_imports_go_in_one_direction(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    assert {name.partition(".")[0] for name in imports(path)} & set(FOLDERS) <= MAY_IMPORT[own]


# Rooms, each of which may import from those before it; a module beside the rooms counts as one.
ROOMS = {
    "gateway": (
        *(
            "errors",
            "base",
            "identity",
            "config",
            "audit",
            "vault",
            "limits",
            "sandbox",
            "session",
            "cluster",
            "warden",
        ),
        *("host", "install", "embedded", "doctor", "admin", "cli"),
    ),
    "rshell": ("bundle", "language", "terminal", "context", "session", "commands", "front"),
}


def rooms_of(path: Path) -> Iterator[str]:
    """The rooms of its own package that a module imports from."""
    own = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == own:
            yield rest.partition(".")[0]


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=name_of(path)) for path in MODULES if path.relative_to(ROOT).parts[0] in ROOMS]
)
def test_rooms_import_in_one_direction(path: Path) -> None:
    package, room = path.relative_to(ROOT).with_suffix("").parts[:2]
    if room.startswith("__"):  # an entry, run as a file
        return
    order = ROOMS[package]
    allowed = set(order[: order.index(room) + 1])
    assert set(rooms_of(path)) <= allowed


def test_every_room_is_on_the_list_and_in_the_architecture_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for package, order in ROOMS.items():
        here = (path for path in (ROOT / package).iterdir() if not path.name.startswith("__"))
        assert {path.stem for path in here} == set(order)
        assert all(f"{room}/" in page for room in order if (ROOT / package / room).is_dir())


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{name}.md" for name in ("architecture", "threat-model", "protocol"))]
)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    """A path is from the checkout, or from one of the three packages."""
    named = re.findall(r"`([a-z_]+/[a-z_/]*(?:[a-z_]+\.py)?)`", (ROOT / page).read_text())
    assert not [path for path in named if not any((ROOT / top / path).exists() for top in ("", *FOLDERS))]


@pytest.mark.parametrize("path", EACH)
def test_a_module_is_no_longer_than_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_a_folder_has_no_more_than_15_modules() -> None:
    for folder in {path.parent for path in MODULES}:
        if folder.name != "commands":
            assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 15, folder


# What a request must be able to trust without reading anything else: no effects, so nothing that could have one.
_LEAN = {"gateway.errors", "gateway.identity.names", "gateway.base.records"}
PURE = {
    "gateway/errors.py": {"errno"},
    "gateway/identity/names.py": {"gateway.errors"},
    "gateway/base/records.py": set(),
    "gateway/base/codec.py": {*_LEAN, "gateway.base.json"},
    "gateway/base/toml.py": set(),
    "gateway/identity/nearest.py": set(),
    "gateway/config/schema.py": {"gateway.base.records"},
    "gateway/config/targets.py": {"_socket"},
    "gateway/config/cluster.py": {"gateway.identity.names", "gateway.config.targets"},
    "gateway/config/loader.py": {
        *(*_LEAN, "gateway.base.toml"),
        *("gateway.config.schema", "gateway.config.cluster", "gateway.config.targets"),
    },
    "rshell/language/grammar.py": set(),
    "rshell/language/verbs.py": {"gateway.base.records"},
    "rshell/language/command.py": {
        *(*_LEAN, "gateway.identity.nearest"),
        *("rshell.language.grammar", "rshell.language.verbs"),
    },
    "rshell/front/policy.py": {*_LEAN, "gateway.config.schema", "rshell.language.command", "rshell.context"},
}


@pytest.mark.parametrize(("module", "allowed"), PURE.items(), ids=PURE)
def test_policy_has_no_effects(module: str, allowed: set[str]) -> None:
    for name in imports(ROOT / module):
        if name.startswith(("__future__.", "typing.", "collections.abc.")):
            continue
        assert name in allowed or name.rpartition(".")[0] in allowed


TEXTS = [
    pytest.param("/usr/bin/gocryptfs", ["gateway/vault/gocryptfs.py"], id="gocryptfs"),
    pytest.param("/usr/bin/bwrap", ["gateway/sandbox/bubblewrap.py"], id="bubblewrap"),
    pytest.param("/usr/bin/scp", ["gateway/sandbox/transfer.py"], id="attached programs"),
    pytest.param("--passfile", [], id="no passphrase file by its long name"),
    pytest.param("-passfile", ["gateway/vault/gocryptfs.py"], id="where a passphrase goes"),
    pytest.param("--unshare", ["gateway/sandbox/bubblewrap.py"], id="namespaces"),
    pytest.param("/usr/sbin/sshd", ["gateway/sandbox/paths.py"], id="sshd"),
    pytest.param("sk-ssh-ed25519@openssh.com", ["gateway/identity/authorized_keys.py"], id="authorized_keys"),
    pytest.param("/dev/fuse", ["gateway/sandbox/paths.py"], id="FUSE"),
    pytest.param("SSH_USER_AUTH", ["gateway/identity/authentication.py"], id="who is calling"),
    pytest.param("SSH_CONNECTION", ["gateway/identity/authentication.py"], id="where from"),
    pytest.param("SSH_ORIGINAL_COMMAND", ["rshell/front/main.py"], id="what is asked"),
]


@pytest.mark.parametrize(("text", "modules"), TEXTS)
def test_one_module_knows_it(text: str, modules: list[str]) -> None:
    found = [name_of(path) for path in MODULES if any(text in said for said in strings(path))]
    assert [name for name in found if not name.startswith("client/")] == modules


IMPORTED = [
    pytest.param("pyinotify", ["gateway/warden/tracking/inotify.py"], id="pyinotify"),
    pytest.param("click", ["gateway/admin/", "gateway/cli.py"], id="click"),
    pytest.param(
        "structlog", ["gateway/cli.py", "gateway/cluster/follower.py", "gateway/embedded/supervisor.py"], id="structlog"
    ),
    pytest.param("subprocess", [], id="nobody: gateway.base.process starts programs"),
    pytest.param("hashlib", ["gateway/base/sha256.py"], id="OpenSSL's hashes, which are slow to load"),
]


def test_what_logins_run_imports_nothing_of_the_sysadmin_s_command_line() -> None:
    for path in MODULES:
        if not name_of(path).startswith("gateway/admin/") and name_of(path) != "gateway/cli.py":
            assert not [name for name in imports(path) if name.startswith("gateway.admin")], path


@pytest.mark.parametrize(("module", "modules"), IMPORTED)
def test_one_module_imports_it(module: str, modules: list[str]) -> None:
    """A folder stands for the modules in it."""
    found = [name_of(path) for path in MODULES if module in {name.partition(".")[0] for name in imports(path)}]
    found = [name for name in found if not name.startswith("client/")]
    folders = tuple(name for name in modules if name.endswith("/"))
    assert [name for name in found if not name.startswith(folders)] == [name for name in modules if name not in folders]
    assert all(any(name.startswith(folder) for name in found) for folder in folders)


CALLED = [
    pytest.param(
        {"os.posix_spawn", "os.posix_spawnp"},
        ["gateway/base/process.py", "gateway/sandbox/inside/workspace.py"],
        id="starting a program",
    ),
    pytest.param(
        {"os.execve", "os.execv"},
        [
            "gateway/base/process.py",
            "gateway/limits/disk/supervisor.py",
            "gateway/sandbox/inside/globbing.py",
            "gateway/session/launch.py",
        ],
        id="becoming one",
    ),
    pytest.param({"os.system", "os.popen", "os.execl", "os.execlp", "os.execvpe", "os.spawnv"}, [], id="by a shell"),
    pytest.param({"eval", "exec", "compile"}, [], id="text as code"),
    pytest.param(
        {"os.fork"},
        [
            "gateway/base/process.py",
            "gateway/limits/disk/supervisor.py",
            "gateway/sandbox/inside/foreground.py",
            "gateway/sandbox/network/namespaces.py",
            "gateway/session/launch.py",
            "gateway/vault/inside/private_view.py",
            "gateway/warden/tracking/scanner.py",
        ],
        id="forking",
    ),
    pytest.param({"os.getenv", "os.environb", "os.putenv"}, [], id="the environment by other names"),
]


@pytest.mark.parametrize(("names", "modules"), CALLED)
def test_one_module_calls_it(names: set[str], modules: list[str]) -> None:
    found = [name_of(path) for path in MODULES if names & set(attributes(path))]
    assert [name for name in found if not name.startswith("client/")] == modules


def test_only_the_front_touches_the_environment() -> None:
    found = [name_of(path) for path in MODULES if "os.environ" in set(attributes(path))]
    # the prompt sets readline's, in an environment that main emptied
    assert [name for name in found if not name.startswith("client/")] == [
        "rshell/front/main.py",
        "rshell/terminal/editing.py",
    ]


# `ssh gateway ls` is judged by what it costs over /bin/true. Each of these costs 1 to 15 ms of import.
HEAVY = {
    "dataclasses",
    "tomllib",
    "typing",
    "structlog",
    "click",
    "subprocess",
    "hashlib",
    "socket",
    "argparse",
    "shutil",
    "ctypes",
    "pathlib",
    "logging",
    "asyncio",
    "inspect",
    "pyinotify",
    "multiprocessing",
}


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param(("rshell.front.main", "rshell.language.command", "rshell.commands.ls"), id="ls"),
        pytest.param(("rshell.front.main", "rshell.commands.help"), id="help"),
        pytest.param(("rshell.front.main", "rshell.commands.whoami"), id="whoami"),
    ],
)
def test_a_plain_request_loads_nothing_heavy(modules: tuple[str, ...]) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(modules)}; print(*sys.modules)"
    argv = ["/usr/bin/python3", "-I", "-S", "-B", "-c", code]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert set(modules) <= loaded
    assert not loaded & HEAVY
