"""What editors do over SSH with a workspace, done by stock OpenSSH: they are no free software that could run here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Gateway, eventually, run
from tests.system.test_workspace import fetched, forwarding, free_port
from tests.workspaces import Workspace, workspace

SERVER = """
import http.server, os
os.chdir("/projects/p")
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"listeningOn={server.server_port}", flush=True)
server.serve_forever()
"""
"""Stands for an editor's server."""

SPEAKS = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "result": open("/projects/p/" + asked["path"]).read()}), flush=True)
"""
"""Stands for one that speaks on its standard input and output."""


@pytest.fixture(scope="module")
def at(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    who = gateway.person("editor")
    who.new("p")
    with who.mounted("p"):
        made = workspace(who, "p", tmp_path_factory.mktemp("editor"))
        assert made.ssh("echo 'the file' >/projects/p/f").status == 0
        yield made


def put(at: Workspace, path: Path, target: str) -> None:
    done = run(["sftp", *at.options, "-b", "-", "enc@workspace"], f"put {path} {target}\n")
    assert done.status == 0, done


def test_a_script_on_standard_input_installs_a_server_that_a_second_connection_meets(
    at: Workspace, tmp_path: Path
) -> None:
    """As VS Code: `ssh -T -D PORT HOST bash`, a server below the home, and channels to its port through the proxy."""
    script = (
        'mkdir -p "$HOME/.server/bin" && cat >"$HOME/.server/bin/server.py" <<"END"\n'
        f"{SERVER}END\n"
        'setsid python3 "$HOME/.server/bin/server.py" >"$HOME/.server/log" 2>&1 </dev/null &\n'
        'while ! grep -q listeningOn "$HOME/.server/log"; do sleep 0.1; done; cat "$HOME/.server/log"; sleep 1000\n'
    )
    proxy = free_port()
    first = at.start("bash", extra=("-T", "-D", f"127.0.0.1:{proxy}"))
    assert first.stdin and first.stdout
    first.stdin.write(script)
    first.stdin.flush()
    port = first.stdout.readline().strip().removeprefix("listeningOn=")
    socks = ["curl", "-sS", "-m", "10", "--socks5", f"127.0.0.1:{proxy}", f"http://127.0.0.1:{port}/f"]
    assert run(socks).out == "the file\n"
    first.kill()
    first.communicate()
    assert "listeningOn" in at.ssh('cat "$HOME/.server/log"; kill -0 $(pgrep -f server.py)').out, "it reconnects"
    local = free_port()
    with forwarding(at, "-L", f"127.0.0.1:{local}:127.0.0.1:{port}"):
        assert eventually(lambda: fetched(local)) == "the file\n"


def test_a_binary_is_uploaded_and_speaks_on_its_standard_streams(at: Workspace, tmp_path: Path) -> None:
    """As Zed: it asks for the platform, uploads a binary, and speaks with it."""
    assert at.ssh("uname", "-sm").out.startswith("Linux ")
    (tmp_path / "server").write_text(f"#!/usr/bin/python3\n{SPEAKS}")
    assert at.ssh("mkdir -p .zed_server").status == 0
    put(at, tmp_path / "server", ".zed_server/server.gz.part")
    assert at.ssh("mv .zed_server/server.gz.part .zed_server/server && chmod +x .zed_server/server").status == 0
    server = at.start("./.zed_server/server")
    assert server.stdin and server.stdout
    for number in range(3):
        server.stdin.write(json.dumps({"id": number, "path": "f"}) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline()) == {"id": number, "result": "the file\n"}
    server.communicate()
    assert server.returncode == 0


def test_a_server_is_unpacked_and_reached_on_a_port(at: Workspace, tmp_path: Path) -> None:
    """As JetBrains Gateway: an archive by sftp, unpacked, started, and a forward to its port."""
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "server.py").write_text(SERVER)
    archive = tmp_path / "backend.tar.gz"
    subprocess.run(["tar", "-C", str(tmp_path), "-czf", str(archive), "backend"], check=True)
    assert at.ssh("mkdir -p .cache/dist").status == 0
    put(at, archive, ".cache/dist/")
    assert at.ssh("tar -C .cache/dist -xzf .cache/dist/backend.tar.gz").status == 0
    server = at.start("python3", ".cache/dist/backend/server.py")
    assert server.stdout
    port = server.stdout.readline().strip().removeprefix("listeningOn=")
    local = free_port()
    with forwarding(at, "-L", f"127.0.0.1:{local}:localhost:{port}"):
        assert eventually(lambda: fetched(local)) == "the file\n"
    server.kill()
    server.communicate()
