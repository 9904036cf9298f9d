"""The audit: complete, checkable, and free of secrets and of names from inside a view."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Result, bindir, eventually, run

SECRET = PASSPHRASE + "\n"
WRONG = "not the passphrase\n"
CALLER = {"fingerprint", "key_type", "principal", "address", "port"}

# command, standard input, verb, decision, reason, exit status; "P" is an existing project, "Q" none
REQUESTS = [
    pytest.param(("whoami",), "", "whoami", "allow", "authorized", 0, id="whoami"),
    pytest.param(("help", "mount"), "", "help", "allow", "authorized", 0, id="help"),
    pytest.param(("ls", "--json"), "", "ls", "allow", "authorized", 0, id="ls"),
    pytest.param(("status",), "", "status", "allow", "authorized", 0, id="status"),
    pytest.param(("new", "Q"), SECRET, "new", "allow", "authorized", 0, id="new"),
    pytest.param(("new", "P"), SECRET, "new", "allow", "authorized", 73, id="new-that-exists"),
    pytest.param(("new", "Q"), "short\n", "new", "allow", "authorized", 64, id="new-with-a-weak-passphrase"),
    pytest.param(("mount", "P"), WRONG, "mount", "allow", "authorized", 77, id="mount-with-a-wrong-passphrase"),
    pytest.param(("mount", "Q"), SECRET, "mount", "allow", "authorized", 66, id="mount-of-nothing"),
    pytest.param(("unmount", "P"), "", "unmount", "allow", "authorized", 69, id="unmount-of-a-locked-project"),
    pytest.param(("logout",), "", "logout", "allow", "authorized", 69, id="logout-without-a-session"),
    pytest.param(("rm", "P"), "other\n", "rm", "allow", "authorized", 64, id="rm-without-the-name"),
    pytest.param(("rm", "--yes", "P"), "", "rm", "allow", "authorized", 0, id="rm"),
    pytest.param(("rsync", "--daemon", "."), "", "rsync", "allow", "authorized", 64, id="a-foreign-rsync"),
    pytest.param(("scp", "-t", "P"), "", "scp", "allow", "authorized", 69, id="scp-to-a-locked-project"),
    pytest.param(("sftp-server",), "", "sftp", "allow", "authorized", 69, id="sftp-without-a-session"),
    pytest.param((), "", "prompt", "allow", "authorized", 64, id="the-prompt-without-a-terminal"),
    pytest.param(("cat", "/etc/passwd"), "", None, "deny", "unknown-command", 127, id="unknown-command"),
    pytest.param(("ls; id",), "", None, "deny", "unknown-command", 127, id="an-operator"),
    pytest.param(("mount", "../P"), "", None, "deny", "usage", 64, id="a-bad-name"),
]


@pytest.mark.parametrize(("words", "stdin", "verb", "decision", "reason", "status"), REQUESTS)
def test_audit_has_one_request_and_one_result(
    words: tuple[str, ...],
    stdin: str,
    verb: str | None,
    decision: str,
    reason: str,
    status: int,
    gateway: Gateway,
    person: Person,
) -> None:
    person.new("existing")
    before = len(gateway.audit())
    named = {"P": "existing", "Q": "another"}
    spoken = tuple(named.get(word, word) for word in words)
    result = person.ssh(*spoken, stdin=stdin)
    assert result.status == status, result
    records = gateway.audit()[before:]
    (request,) = [record for record in records if record["event"] == "request"]
    (outcome,) = [record for record in records if record["event"] == "result"]
    assert request.keys() >= CALLER
    assert request["fingerprint"] == request["principal"] == person.fingerprint
    assert (request["key_type"], request["address"]) == ("ssh-ed25519", "127.0.0.1")
    assert isinstance(request["port"], int) and request["port"] > 0
    assert (request.get("verb"), request["decision"], request["reason"]) == (verb, decision, reason)
    expected = [named[word] for word in words if word in named and verb not in (None, "scp")]
    assert [request["project"]] == expected if expected else "project" not in request
    assert outcome["request"] == request["request"]
    assert outcome["status"] == status
    assert isinstance(outcome["took_ms"], int) and outcome["took_ms"] >= 0


def test_audit_has_one_result_for_a_mount_and_for_each_transfer(
    gateway: Gateway, person: Person, project: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    with person.mounted(project) as held:
        assert person.sftp(f"put {tmp_path / 'file'} {project}/").status == 0
        assert person.copy("rsync", str(tmp_path / "file"), f"gateway:{project}/again").status == 0
        assert person.copy("scp", "-O", str(tmp_path / "file"), f"gateway:{project}/old").status == 0
        assert person.ssh("unmount", project).status == 0
        assert held.wait().status == 0
    requests = gateway.events("request", fingerprint=person.fingerprint)
    assert [request["verb"] for request in requests] == ["new", "mount", "sftp", "rsync", "scp", "unmount"]
    eventually(lambda: len(gateway.events("result", fingerprint=person.fingerprint)) == len(requests))
    results = gateway.events("result", fingerprint=person.fingerprint)
    assert {result["request"] for result in results} == {request["request"] for request in requests}
    assert {result["status"] for result in results} == {0}


def test_audit_has_the_result_of_a_transfer_whose_client_was_killed(
    gateway: Gateway, person: Person, project: str
) -> None:
    with person.mounted(project):
        client = person.hold("sftp-server")
        (request,) = eventually(lambda: gateway.events("request", fingerprint=person.fingerprint, verb="sftp"))
        client.end()
        eventually(lambda: gateway.events("result", request=request["request"]))


def test_audit_says_that_a_removed_key_was_refused(gateway: Gateway, person: Person, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="enc-cm-") as name:
        shared = ("-o", f"ControlPath={name}/socket")
        master = person.hold(extra=(*shared, "-M", "-N"))
        eventually(Path(f"{name}/socket").exists)
        lines = gateway.authorized_keys.read_text().splitlines(keepends=True)
        gateway.authorized_keys.write_text("".join(line for line in lines if f" {person.name}@" not in line))
        refused = person.ssh("whoami", extra=shared)
        master.end()
    assert refused.status == 77
    (request,) = gateway.events("request", fingerprint=person.fingerprint)
    assert (request["decision"], request["reason"]) == ("deny", "denied")
    assert gateway.events("result", request=request["request"], status=77)


def _verify(path: Path) -> Result:
    return run([str(bindir() / "enc-gateway"), "audit", "verify", "--file", str(path)])


def test_verify_finds_nothing_after_everything(gateway: Gateway) -> None:
    assert len(gateway.audit()) > 10
    result = _verify(Path(str(gateway.ready["audit"])))
    assert result.status == 0, result


def _change(lines: list[str]) -> list[str]:
    """Change the first line that allows a request; which line that is depends on earlier tests."""
    at = next(at for at, line in enumerate(lines) if '"decision":"allow"' in line)
    return [*lines[:at], lines[at].replace('"decision":"allow"', '"decision":"deny"'), *lines[at + 1 :]]


TAMPERING = [
    pytest.param(_change, id="a-changed-line"),
    pytest.param(lambda lines: lines[:3] + lines[4:], id="a-removed-line"),
    pytest.param(lambda lines: lines[1:], id="the-first-line-removed"),
    pytest.param(lambda lines: lines[:-2], id="the-end-cut-off"),
    pytest.param(lambda lines: [*lines[:3], lines[2], *lines[3:]], id="an-inserted-line"),
    pytest.param(lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], id="two-lines-exchanged"),
]


@pytest.mark.parametrize("tamper", TAMPERING)
def test_verify_finds(
    tamper: Callable[[list[str]], list[str]], gateway: Gateway, person: Person, tmp_path: Path
) -> None:
    for _ in range(3):
        person.ssh("whoami")
    original = Path(str(gateway.ready["audit"]))
    lines = original.read_text().splitlines(keepends=True)
    copy = tmp_path / "audit.jsonl"
    copy.write_text("".join(tamper(lines)))
    (tmp_path / "audit.jsonl.head").write_text(Path(f"{original}.head").read_text())
    assert copy.read_text() != original.read_text()
    result = _verify(copy)
    assert result.status == 1, result
    assert "Traceback" not in result.err


def test_every_record_is_copied_to_the_syslog_socket(make_gateway: Callable[..., Gateway]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="enc-log-") as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        os.chmod(name, 0o755)  # noqa: S103 - the gateway's account has to reach it
        path = f"{name}/log"
        log.bind(path)
        os.chmod(path, 0o666)  # noqa: S103
        log.settimeout(10)
        gateway = make_gateway(**{"audit.syslog": path})
        person = gateway.person("logged")
        person.new("myproj")
        with person.mounted("myproj") as held:
            person.ssh("unmount", "myproj")
            held.wait()
        records = gateway.audit()
        copies = [log.recv(65536) for _ in records]
    assert all(copy.startswith(b"<86>enc[") for copy in copies)
    told = [json.loads(copy.split(b": ", 1)[1]) for copy in copies]
    assert sorted(told, key=lambda record: int(str(record["seq"]))) == records
    assert {"unlocked", "locked"} <= {record["event"] for record in told}


CANARY = "cANaRy7f3a91"
NAMES = [f"{CANARY}-{word}.txt" for word in ("sftp", "scp", "old-scp", "rsync", "sshfs")]


@pytest.fixture
def began() -> Iterator[float]:
    yield time.time()


def _everything(person: Person, tmp_path: Path) -> None:
    """Send the canary through every interface: in passphrases, file names, contents and commands."""
    good, wrong = f"{CANARY} good passphrase", f"{CANARY} wrong passphrase"
    files = {}
    for name in NAMES:
        files[name] = tmp_path / name
        files[name].write_text(f"{CANARY} content of {name}\n" * 1000)
    person.new("myproj", good)
    assert person.ssh("mount", "myproj", stdin=wrong + "\n").status == 77
    with person.mounted("myproj", good):
        assert person.sftp(f"put {files[NAMES[0]]} myproj/", f"mkdir myproj/{CANARY}").status == 0
        assert person.copy("scp", str(files[NAMES[1]]), "gateway:myproj/").status == 0
        assert person.copy("scp", "-O", str(files[NAMES[2]]), "gateway:myproj/").status == 0
        assert person.copy("rsync", str(files[NAMES[3]]), "gateway:myproj/").status == 0
        with person.sshfs("myproj", tmp_path / "mnt"):
            (tmp_path / "mnt" / NAMES[4]).write_bytes(files[NAMES[4]].read_bytes())
            assert sorted(os.listdir(tmp_path / "mnt")) == sorted([CANARY, *NAMES])
        assert person.copy("scp", "-O", f"gateway:myproj/{CANARY}-none", str(tmp_path)).status != 0
    for bad in (f"cat {CANARY}", f"ls; {CANARY}", f"mount ../{CANARY}", f"ls --{CANARY}", f"'{CANARY}", f"rm {CANARY}"):
        assert person.ssh(bad).status != 0
    prompt = person.terminal()
    for line, answer in ((f"cat {CANARY}\n", "enc> "), ("mount myproj\n", "Passphrase"), (f"{wrong}\n", "enc> ")):
        prompt.send(line)
        prompt.expect(answer)
    prompt.send("exit\n")
    prompt.wait()


def test_no_secret_and_no_name_of_a_view_is_on_any_disk(
    make_gateway: Callable[..., Gateway], tmp_path: Path, began: float
) -> None:
    gateway = make_gateway()
    person = gateway.person("canary")
    _everything(person, tmp_path)
    eventually(lambda: not gateway.leftovers())
    account = pwd.getpwnam(str(gateway.ready["account"])).pw_uid
    searched = [path for path in gateway.root.parent.rglob("*") if not path.is_symlink()]
    assert gateway.root / "log" / "sshd.log" in searched and gateway.root / "audit" / "audit.jsonl" in searched
    searched += _newer_of(account, began, "/tmp") + _newer_of(account, began, "/var/tmp")
    found = [str(path) for path in searched if CANARY in str(path) or CANARY.encode() in _content(path)]
    assert not found


def _newer_of(uid: int, since: float, where: str) -> list[Path]:
    """The files of an account below a directory that were written since then."""
    words = ["find", where, "-xdev", "-uid", str(uid), "-newermt", f"@{int(since)}"]
    said = subprocess.run([*words, "-print0"], capture_output=True, check=False).stdout
    return [Path(os.fsdecode(name)) for name in said.split(b"\0") if name]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:  # another test's, which has ended
        return b""
