"""What code in a workspace, or a workspace as such, does to the audit, to other members, and to a laptop."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.harness import Gateway, Person, eventually
from tests.laptop import laptop
from tests.teams import formed, owner, working
from tests.workspaces import workspace

FLOOD = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{pid}/cmdline") as file:
        if not file.read().startswith("/usr/bin/python3\\0-I\\0-S\\0/workspace.py"):
            continue
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:"):
            with open(f"/proc/{pid}/fd/{fd}", "wb") as said:
                said.write(b"Accepted publickey for x\\n" * 1000)
                for port in range(1, 201):
                    said.write(b"debug1: server_request_direct_tcpip: originator x target y port %d\\n" % port)
            print("said")
"""
"""What sshd says goes to the workspace's program by a pipe, which others of the user can open."""


def test_a_workspace_cannot_fill_the_audit(person: Person, tmp_path: Path) -> None:
    """With a word that is repeated, or with another workspace after the one that has said all that it may."""
    person.new("p")
    with person.mounted("p"):
        for number in range(2):
            at = workspace(person, "p", tmp_path / str(number))
            done = at.ssh("python3", "-", stdin=FLOOD)
            assert done.out and set(done.out.split()) == {"said"}, done
            assert at.ssh("true").status == 0
            at.ssh("pkill -9 -f ^/usr/bin/python3.*/workspace.py")
    mine = {"fingerprint": person.fingerprint}
    assert eventually(lambda: len(person.gateway.events("workspace-login", **mine)) == 6)
    assert 0 < len(person.gateway.events("workspace-forward", **mine)) <= 100


def test_each_members_logins_are_recorded_as_theirs_and_a_reader_only_reads(gateway: Gateway, tmp_path: Path) -> None:
    team = formed(gateway)
    with working(team):
        for who, name in ((team.bob, team.shared), (team.alice, team.project), (team.carol, team.shared)):
            at = workspace(who, name, tmp_path / owner(who))
            where = f"/projects/{name}"
            wrote = at.ssh(f"echo x >{where}/by-{owner(who)}")
            assert (wrote.status == 0) is (who is not team.carol), wrote
            (login,) = gateway.events("workspace-login", fingerprint=who.fingerprint)
            assert (login["principal"], login["owner"]) == (owner(who), owner(team.alice))
        batch = f"put /etc/hostname {where}/by-carol\n"
        words = ["sftp", *at.options, "-b", "-", "enc@workspace"]
        assert subprocess.run(words, input=batch, text=True, capture_output=True, check=False).returncode != 0
        assert "by-carol" not in at.ssh(f"ls {where}").out


def test_a_home_that_cannot_be_made_is_told(person: Person) -> None:
    person.new("p")
    with person.mounted("p"):
        assert person.ssh("run", "p", "--", "chmod", "500", ".").status == 0
        refused = person.ssh("workspace", "p", "--home")
        assert refused.status != 0 and "did not start" in refused.err, refused
        assert person.ssh("run", "p", "--", "chmod", "700", ".").status == 0


def test_a_laptops_files_lead_where_its_user_said(person: Person, tmp_path: Path) -> None:
    """Connections that come first and at once; a config in another encoding; a block that leads elsewhere."""
    person.new("p")
    with laptop(person) as mine:
        mine.mount("p")
        words = [*mine.environment(), "enc", "workspace", "p", "--", "echo", "hi"]
        pipe = subprocess.PIPE
        first = [subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) for _ in range(4)]
        assert [(one.communicate(), one.returncode) for one in first] == [((b"hi\n", b""), 0)] * 4
        config = mine.home / ".ssh" / "config"
        config.parent.mkdir(mode=0o700)
        config.write_bytes(b"# caf\xe9\n")
        assert mine.enc("ssh-config", "p").status == 0
        assert config.read_bytes().endswith(b"# caf\xe9\n")
        block = mine.home / ".config/enc/ssh_config"
        text = block.read_text()
        assert "\n    PreferredAuthentications publickey\n" in text
        block.write_text(text.replace("--host gateway", "--host another"))
        assert mine.enc("workspace", "p", "--", "echo", "hi").out == "hi\n"
        assert block.read_text() == text
        mine.enc("logout", "--all")
