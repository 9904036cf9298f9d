"""A session imports nothing once it is open: an upgrade may have replaced the files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOADED = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from gateway.warden import warden
for name in warden.PRELOADED:
    __import__(name)
print(*sys.modules)
"""
READ_WITH_THE_SPEC = {"gateway.identity.authentication"}
"""Imported by a function that every session calls before it opens."""


def late_imports(path: Path) -> Iterator[str]:
    """The modules that functions of the module at `path` import; of `from a import b` both a and a.b."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))
    for node in (node for function in functions for node in ast.walk(function)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if (ROOT / node.module.replace(".", "/") / f"{alias.name}.py").exists()
            )


def test_what_a_session_imports_late_is_loaded_when_it_is_open() -> None:
    said = subprocess.run([sys.executable, "-I", "-B", "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(said.stdout.split())
    named = [ROOT / f"{name.replace('.', '/')}.py" for name in loaded if name.startswith("gateway.")]
    ours = [path for path in named if path.exists()]
    late = {name: path for path in ours for name in late_imports(path)}
    assert {"binascii", "gateway.warden.tracking.tracker"} <= set(late)
    missing = {name: str(path) for name, path in late.items() if name not in {*loaded, *READ_WITH_THE_SPEC}}
    assert not missing
    codecs = {f"encodings.{name}" for path in ours for name in re.findall(r'encoding="(\w+)"', path.read_text())}
    assert codecs == {"encodings.ascii"} and codecs <= loaded  # UTF-8 is in the interpreter
