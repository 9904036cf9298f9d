"""A user's side of a workspace, with stock OpenSSH."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Person, Result, run


@dataclass(frozen=True)
class Workspace:
    """Of `project`, which `who` has unlocked. `identity` is the key that lets channels in."""

    who: Person
    project: str
    identity: Path
    known_hosts: Path
    shared: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        blob = Path(f"{self.identity}.pub").read_text().split()[1]
        through = self.who.argv("workspace", self.project, blob, extra=self.shared)
        settings = {
            "ProxyCommand": " ".join(shlex.quote(word).replace("%", "%%") for word in through),
            "IdentityFile": str(self.identity),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "HostKeyAlias": "workspace",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        return ["-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]

    def ssh(self, *words: str, stdin: str = "", extra: tuple[str, ...] = ()) -> Result:
        return run(["ssh", *self.options, *extra, "enc@workspace", *words], stdin)

    def start(self, *words: str, extra: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        argv = ["ssh", *self.options, *extra, "enc@workspace", *words]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workspace(who: Person, project: str, place: Path, shared: tuple[str, ...] = ()) -> Workspace:
    """With a new key; its host key is known."""
    place.mkdir(exist_ok=True)
    identity, known_hosts = place / "identity", place / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(identity)], check=True)
    told = who.ssh("workspace", project, extra=shared)
    assert told.status == 0, told
    known_hosts.write_text(f"workspace {told.out}")
    return Workspace(who, project, identity, known_hosts, shared)
