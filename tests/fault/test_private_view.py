"""A sandbox that mounts ends whatever its file systems wait for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway.sandbox import fsck
from tests.harness import need

ROOT = Path(__file__).resolve().parents[2]


def test_a_server_that_waits_for_itself_ends_with_its_sandbox(tmp_path: Path) -> None:
    """No signal ends it, nor the end of its sandbox."""
    need(Path("/dev/fuse").exists(), "FUSE")
    shown = [word for path in (sys.prefix, sys.base_prefix, ROOT) for word in ("--ro-bind", str(path), str(path))]
    program = [sys.executable, str(ROOT / "tests/fault/waits_for_itself.py"), str(ROOT)]
    argv = [*fsck.own_view_argv(), "--as-pid-1", *shown, "--", *program]
    sandbox = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sandbox.stdin and sandbox.stdout
    assert sandbox.stdout.readline() == "it waits\n"
    sandbox.stdin.close()
    assert sandbox.wait(20) == 1
    sandbox.stdout.close()
