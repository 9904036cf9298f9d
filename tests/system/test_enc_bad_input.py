"""What can be wrong with a call of `enc`: one line, the right code, nothing mounted or running. And `enc init`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, Gateway, Person, Result, eventually, need_root, run
from tests.laptop import PROMPT, Laptop, laptop

SSH_CONFIG = "ENC_SSH_CONFIG"


@pytest.fixture(scope="module")
def somebody(gateway: Gateway) -> Person:
    """Somebody with the project `one`."""
    who = gateway.person("enc-bad-input")
    who.new("one")
    return who


@pytest.fixture
def mine(somebody: Person) -> Iterator[Laptop]:
    with laptop(somebody) as made:
        yield made


def refused(mine: Laptop, done: Result, status: int, *says: str) -> None:
    """It ended with `status` and one line that says all that, and left nothing."""
    assert done.status == status, done
    ours = [line for line in done.err.splitlines() if line.startswith("enc: ")]
    assert len(ours) == 1 == done.err.count("\n"), done
    for word in says:
        assert word in ours[0], done
    assert not mine.entries() and mine.views() == []
    eventually(mine.is_clean, 5)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def changed_config(mine: Laptop, **values: str) -> dict[str, str]:
    """The variable for a copy of the gateway's ssh_config with other values."""
    lines = mine.gateway.ssh_config.read_text().splitlines()
    kept = [line for line in lines if line.split()[0] not in values]
    path = mine.root / "ssh_config"
    path.write_text("\n".join([*kept, *(f"    {key} {value}" for key, value in values.items())]) + "\n")
    return {SSH_CONFIG: str(path)}


def test_no_gateway_is_configured(mine: Laptop) -> None:
    refused(mine, mine.enc("mount", "one", ENC_HOST=""), 78, "no gateway is configured", "enc init")


def test_a_host_that_is_down_unknown_or_on_another_port(mine: Laptop) -> None:
    port = changed_config(mine, Port=str(closed_port()))
    for words in (("mount", "one"), ("ls",), ("login",), ("new", "other")):
        done = mine.enc(*words, stdin=PASSPHRASE + "\n", **port)
        refused(mine, done, 75, "nothing answers at 127.0.0.1 port ", "is the gateway running?")
    name = changed_config(mine, HostName="no-such-host.invalid")
    refused(mine, mine.enc("mount", "one", **name), 75, "cannot resolve the host name")


def test_a_key_that_is_not_accepted(mine: Laptop) -> None:
    key = mine.root / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for words in (("mount", "one"), ("whoami",)):
        refused(mine, mine.enc(*words, ENC_IDENTITY=str(key)), 77, "does not accept your key")
    checked = mine.enc("doctor", ENC_IDENTITY=str(key))
    assert "ask them, and tell them the fingerprint above" in checked.out and "`enc doctor`" not in checked.out, checked


def test_a_key_file_that_is_not_there(mine: Laptop) -> None:
    for words in (("mount", "one"), ("ls",)):
        refused(mine, mine.enc(*words, ENC_IDENTITY="/nonexistent"), 77, "there is no key file /nonexistent", "with -i")


@pytest.mark.parametrize("host", ["user@", "@host", "@"])
def test_a_host_without_a_name(mine: Laptop, host: str) -> None:
    refused(mine, mine.enc("ls", ENC_HOST=host), 64, f"'{host}' is not a host name")


def test_a_host_key_that_is_unknown_or_changed_and_no_config_turns_checking_off(mine: Laptop) -> None:
    known = mine.root / "known_hosts"
    known.write_text("")
    other = changed_config(mine, UserKnownHostsFile=str(known), StrictHostKeyChecking="no", CheckHostIP="no")
    refused(mine, mine.enc("mount", "one", **other), 76, "is not known on this machine", "enc init")
    key = mine.root / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    known.write_text(f"# a comment\nenc-gateway {Path(f'{key}.pub').read_text()}")
    for words in (("mount", "one"), ("ls",), ("init", "--host", "gateway")):
        refused(mine, mine.enc(*words, **other), 76, "is not the one in", f"{known} line 2")


def test_a_wrong_passphrase_and_an_unknown_project(mine: Laptop) -> None:
    refused(mine, mine.enc("mount", "one", stdin="wrong\n"), 77, "passphrase")
    refused(mine, mine.enc("mount", "other"), 66, "no project other")
    refused(mine, mine.enc("mount", "../etc"), 64, "is not a project name")
    refused(mine, mine.enc("mount", "one"), 64, "no passphrase was given")
    refused(mine, mine.enc("unmount", "one"), 69, "not mounted")
    refused(mine, mine.enc("logout"), 69, "is not logged in")
    refused(mine, mine.enc("mount"), 64, "PROJECT")
    assert not (mine.home / "enc" / "one").exists()


def test_a_missing_sshfs_ssh_or_fuse(mine: Laptop) -> None:
    tools = mine.root / "tools"
    tools.mkdir()
    for program in ("ssh", "env", "python3"):
        (tools / program).symlink_to(f"/usr/bin/{program}")
    enc = str(Path(os.environ["ENC_BINDIR"]) / "enc")
    (tools / "enc").symlink_to(enc)
    refused(mine, mine.enc("mount", "one", PATH=str(tools)), 69, "sshfs is not installed", "apt install")
    (tools / "ssh").unlink()
    refused(mine, mine.enc("ls", PATH=str(tools)), 69, "ssh is not installed", "apt install")


def test_a_runtime_directory_that_others_can_read(mine: Laptop) -> None:
    shared = mine.root / "shared"
    shared.mkdir(mode=0o755)
    refused(mine, mine.enc("login", XDG_RUNTIME_DIR=str(shared)), 69, "not a private directory of yours")
    assert mine.enc("ls", XDG_RUNTIME_DIR=str(shared)).status == 0, "asking needs no state"


def test_a_home_that_cannot_be_written(mine: Laptop) -> None:
    home = mine.home
    home.rmdir()
    home.write_text("")  # root writes where it likes; nobody makes a directory in a file
    refused(mine, mine.enc("mount", "one", stdin=PASSPHRASE + "\n"), 73, "cannot be a mount point")
    home.unlink()
    home.mkdir(mode=0o700)


BROKEN = [
    pytest.param('default = "x', "line 1, column", id="syntax"),
    pytest.param('default = "x"\n', "line 1, column 1", id="no-such-gateway"),
    pytest.param('[gateways.x]\nhost = "h"\ncolour = 1\n', "line 3, column 1", id="unknown-key"),
    pytest.param('[gateways.x]\nhost = "h"\n  port = "22"\n', "line 3, column 3", id="wrong-type"),
]


@pytest.mark.parametrize(("text", "where"), BROKEN)
def test_a_broken_config_is_told_with_line_and_column(mine: Laptop, text: str, where: str) -> None:
    config = mine.home / ".config" / "enc" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(text)
    refused(mine, mine.enc("mount", "one"), 78, str(config), where)


def test_errors_are_json_for_programs(mine: Laptop) -> None:
    done = mine.enc("mount", "other", "--json")
    assert done.json == {
        "error": "no-such-project",
        "message": "you have no project other",
        "hint": "`enc new other` creates it; `enc ls` lists yours",
        "exit": 66,
    }
    assert mine.enc("mount", "--json").json["exit"] == 64
    assert mine.enc("no-such-command").status == 127


def test_init_shows_the_host_key_and_asks_and_writes_the_config_once_it_is_let_in(mine: Laptop) -> None:
    known = mine.root / "known_hosts"
    plain = {**changed_config(mine, UserKnownHostsFile=str(known)), "ENC_HOST": ""}
    host_key = (mine.gateway.root / "host_ed25519.pub").read_text().split()
    said = subprocess.run(
        ["ssh-keygen", "-lf", str(mine.gateway.root / "host_ed25519.pub")], capture_output=True, text=True, check=True
    )
    fingerprint = said.stdout.split()[1]
    for answer, end in (("n", "you did not accept"), ("y", "connected to work as")):
        terminal = mine.terminal(**plain)
        terminal.send("enc init --host gateway --name work\n")
        terminal.expect(fingerprint)
        terminal.expect("Is this the fingerprint that your sysadmin gave you?")
        terminal.send(f"{answer}\n")
        terminal.expect(end)
        terminal.expect(PROMPT)
        terminal.close()
        assert (mine.home / ".config/enc/config.toml").exists() == known.exists() == (answer == "y")
    assert known.read_text().split() == ["enc-gateway", *host_key[:2]]
    config = mine.home / ".config/enc/config.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    done = mine.enc("whoami", "--json", ENC_HOST="", ENC_SSH_CONFIG="", ENC_IDENTITY="")
    assert done.json["fingerprint"] == mine.who.fingerprint, "the config alone says it all"
    other = mine.enc(
        "init",
        "--host",
        "gateway",
        "--fingerprint",
        "SHA256:other",
        **changed_config(mine, UserKnownHostsFile="/nowhere"),
    )
    assert other.status == 76 and fingerprint in other.err


def test_the_agent_is_not_forwarded_whatever_the_config_says(mine: Laptop) -> None:
    own = changed_config(mine, ForwardAgent="yes", ForwardX11="yes", LocalForward=f"{closed_port()} localhost:1")
    assert mine.enc("login", **own).status == 0
    (master,) = [args for args in mine.processes().values() if args.startswith("ssh ")]
    resolved = subprocess.run(
        [*master.split(" -f ")[0].split(), "-G", "gateway"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {"forwardagent no", "forwardx11 no", "clearallforwardings yes", "stricthostkeychecking true"} <= set(
        resolved
    )
    assert mine.enc("logout", **own).status == 0


def test_the_doctor_finds_what_is_wrong_and_says_how_to_put_it_right(mine: Laptop) -> None:
    well = mine.enc("doctor", "--json")
    assert well.status == 0, well
    assert {one["about"] for one in json.loads(well.out)["findings"]} >= {
        "ssh",
        "sshfs",
        "fuse",
        "runtime",
        "gateway",
        "key",
    }
    ill = mine.enc("doctor", XDG_RUNTIME_DIR="", ENC_IDENTITY="/nowhere")
    assert ill.status == 69
    wrong = [line for line in ill.out.splitlines() if line.startswith("wrong")]
    assert len(wrong) >= 2 and all("; " in line for line in wrong), ill


def test_a_passphrase_comes_from_a_helper_or_a_desktops_dialog(mine: Laptop) -> None:
    helper = mine.root / "helper"
    helper.write_text(f"#!/bin/sh\necho '{PASSPHRASE}'\n")
    helper.chmod(0o700)
    for more in (
        {"ENC_PASSPHRASE_COMMAND": str(helper)},
        {"SSH_ASKPASS": str(helper), "DISPLAY": ":9"},
        {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force"},
    ):
        done = mine.enc("mount", "one", **more)
        assert done.status == 0, done
        assert mine.enc("unmount", "one").status == 0
    failing = mine.enc("mount", "one", ENC_PASSPHRASE_COMMAND="false")
    assert (failing.status, failing.err.count("\n")) == (64, 1)


def test_a_folder_is_uploaded_and_compared_before_it_is_said_to_be_there(mine: Laptop) -> None:
    source = mine.root / "source"
    (source / "sub dir").mkdir(parents=True)
    (source / "sub dir" / "a").write_bytes(os.urandom(100_000))
    (source / "b'c").write_text("quoted")
    done = mine.enc("new", "filled", "--from", str(source), "--json", stdin=PASSPHRASE + "\n")
    assert done.json == {"project": "filled", "created": True, "copied": 3, "skipped": 0, "notes": []}
    eventually(mine.is_clean, 5)
    at = mine.mount("filled")
    assert subprocess.run(["diff", "-r", str(source), str(at)], check=False).returncode == 0
    assert mine.enc("unmount", "filled").status == 0


def test_commands_that_are_the_gateways_alone_are_passed_on(mine: Laptop) -> None:
    assert "Usage: enc idle" in mine.enc("idle", "--help").out
    assert mine.enc("idle", "one", "60").status == 0
    assert mine.enc("ls").out == mine.who.ssh("ls").out
    gone = mine.enc("run", "one", "--", "true")
    assert gone.status in (69, 127), "not unlocked, or a gateway without it"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(mine: Laptop, shell: str) -> None:
    done = mine.enc("completion", shell)
    assert done.status == 0 and "_ENC_COMPLETE" in done.out
    if shell == "bash":
        words = {"COMP_WORDS": "enc mo", "COMP_CWORD": "1", "_ENC_COMPLETE": "bash_complete"}
        assert mine.enc(**words).out == "plain,mount\n"


def test_a_machine_without_fuse(mine: Laptop) -> None:
    need_root()
    script = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 444 /dev/urandom c 1 9"
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}\nexec "$@"', "sh"]
    done = run([*words, *mine.environment(), "enc", "mount", "one"], PASSPHRASE + "\n")
    refused(mine, done, 69, "/dev/fuse cannot be opened", "load the kernel's fuse module")
    found = run([*words, *mine.environment(), "enc", "doctor"])
    assert found.status == 69 and "/dev/fuse cannot be opened" in found.out, found
    assert not (mine.home / "enc" / "one").exists()
