"""The package and `enc-gateway setup`, on a machine of its own: what they make, that it works, that it breaks nobody's
way in, and that it goes again.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import schema
from gateway.host import userns
from tests.harness import PASSPHRASE, need_root
from tests.machine import Host, machine

ROOT = Path(__file__).resolve().parents[2]
DROP_IN = "/etc/ssh/sshd_config.d/50-enc.conf"


@pytest.fixture(scope="module")
def package(place: Path) -> Path:
    """The .deb, as script/deb builds it."""
    done = subprocess.run([ROOT / "script" / "deb", str(place)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def host(package: Path) -> Iterator[Host]:
    """A host with the package and without a checkout. Every test removes the gateway that it set up."""
    need_root()
    with machine() as made:
        made.ok("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", "admin")
        for name in ("admin", "dev"):
            made.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@test", "-f", f"/root/{name}")
        made.ok("install", "-d", "-m", "700", "-o", "admin", "-g", "admin", "/home/admin/.ssh")
        key = made.read("/root/admin.pub")
        made.write("/home/admin/.ssh/authorized_keys", f'environment="ADMINS=own" {key}')
        main = made.read("/etc/ssh/sshd_config")
        made.write("/etc/ssh/sshd_config", f"{main}\nPermitUserEnvironment ADMINS\n")
        made.write("/root/enc.deb", "")
        with package.open("rb") as file:
            subprocess.run(made.argv("tee", "/root/enc.deb"), stdin=file, stdout=subprocess.DEVNULL, check=True)
        made.ok("mount", "-t", "tmpfs", "tmpfs", "/opt")
        made.ok("dpkg", "-i", "/root/enc.deb")
        made.ok("/usr/sbin/sshd", "-E", "/tmp/sshd.log")
        yield Host(made)


@pytest.fixture
def installed(host: Host) -> Iterator[Host]:
    """A host with a gateway, on which `dev` may log in."""
    result = host.setup()
    assert result.status == 0 and "+++" not in result.out, result
    assert "This host is a gateway: " in result.out and "enc-gateway key invite NAME" in result.out.splitlines()[-1]
    key = host.machine.read("/root/dev.pub")
    host.machine.write("/etc/enc/authorized_keys", f'restrict,pty,environment="ENC_USER=dev1" {key}')
    yield host
    assert host.setup("--remove").status == 0
    host.machine.ok("rm", "-rf", "/var/lib/enc")


def test_the_dry_run_lists_each_change_with_verbose_as_a_diff_and_makes_none(host: Host) -> None:
    before = host.state()
    result, diffs = host.setup("--dry-run"), host.setup("--dry-run", "--verbose")
    assert result.status == diffs.status == 0, result
    for path in (DROP_IN, "/etc/enc/gateway.toml", "/etc/enc/authorized_keys"):
        assert re.search(rf"^\+ {re.escape(path)} \(\d+ lines\)$", result.out, re.MULTILINE)
        assert f"--- /dev/null\n+++ {path}\n" in diffs.out
    assert "+ account enc" in result.out and len(result.out.splitlines()) < 30
    assert result.out.endswith(
        "changes, none of them made; `enc-gateway setup --dry-run --verbose` shows them as diffs."
        "\nNext: enc-gateway setup\n"
    )
    assert host.state() == before
    assert host.machine.run("id", "enc").status != 0
    alone = host.machine.ok("enc-gateway")
    assert f": not set up\n  {DROP_IN} is missing" in alone and "sudo enc-gateway setup" in alone


def test_what_was_set_up_works_and_a_second_time_changes_nothing(installed: Host) -> None:
    state = installed.state()
    again = installed.setup()
    assert (again.status, again.out) == (0, "nothing to change\n"), again
    assert installed.state() == state
    assert '"dev1"' in installed.dev("whoami", "--json").out
    assert ": ready\n  sessions  0 sessions, 0 projects unlocked\n" in installed.machine.ok("enc-gateway")
    assert installed.dev("new", "p", stdin=PASSPHRASE + "\n").status == 0
    held = installed.hold("/root/dev", "enc", "mount", "p", stdin=PASSPHRASE + "\n")
    try:
        held.read_until("unlocked")
        assert " unlocked " in installed.dev("ls").out
        words = ["sftp", *installed.options("/root/dev"), "-b", "-", "enc@127.0.0.1"]
        assert " file" in installed.machine.run(*words, stdin="cd p\nput /etc/hostname file\nls -l\n").out
        assert installed.dev("unmount", "p").status == 0
    finally:
        held.end()
    assert installed.dev("rm", "--yes", "p").status == 0
    assert installed.dev("cat", "/etc/passwd").status == 127
    assert (
        installed.machine.run("setpriv", "--reuid", "enc", "--regid", "enc", "--clear-groups", "sh", "-c", ":").status
        == 0
    )
    for program in ("enc", "enc-gateway"):
        assert installed.machine.ok(program, "--version")
    assert installed.machine.ok("sh", "-c", "systemd-analyze verify /etc/systemd/system/enc-housekeeping.* 2>&1") == ""
    assert installed.machine.ok("setpriv", "--reuid=enc", "--regid=enc", "--clear-groups", "enc-gateway", "sweep")


def test_nobody_elses_login_notices(host: Host) -> None:
    """Logins work before, during and after setup, and an open login stays open. During a reload sshd closes its socket
    for an instant, so a login that is refused is tried once more.
    """
    assert host.admin() == "admin own\n"
    stays = host.hold("/root/admin", "admin", "echo open; while [ ! -e /tmp/enough ]; do sleep 0.1; done; echo closed")
    login = "ssh \"$@\" 'echo $(id -un) $ADMINS'"
    again = f"while [ ! -e /tmp/enough ]; do {login} || {{ sleep 0.5; {login} || echo FAILED; }}; done"
    trying = host.machine.hold("sh", "-c", again, "sh", *host.options("/root/admin"), "admin@127.0.0.1")
    try:
        trying.read_until("admin own\n")
        stays.read_until("open")
        for flags in ((), ("--remove",), (), ("--remove",)):
            assert host.setup(*flags).status == 0
            assert host.admin() == "admin own\n"
    finally:
        host.machine.ok("touch", "/tmp/enough")
        tried = trying.wait().out.splitlines()
        stayed = stays.wait()
    assert set(tried) == {"admin own"} and len(tried) >= 4
    assert (stayed.status, stayed.out) == (0, "open\nclosed\n")
    host.machine.ok("rm", "-rf", "/var/lib/enc")


def test_a_drop_in_that_sshd_does_not_take_any_more_can_be_removed(host: Host) -> None:
    """An update of sshd can drop a keyword."""
    assert host.setup().status == 0
    host.machine.write(DROP_IN, "NoSuchKeyword yes\n" + host.machine.read(DROP_IN))
    assert host.machine.run("/usr/sbin/sshd", "-t").status != 0
    assert host.setup("--remove").status == 0
    assert host.machine.run("/usr/sbin/sshd", "-t").status == 0
    assert host.admin() == "admin own\n"
    host.machine.ok("rm", "-rf", "/var/lib/enc")


def test_a_setup_that_is_killed_breaks_nothing_and_is_finished_by_the_next(host: Host) -> None:
    before = host.state()
    for hundredths in range(16, 66, 12):  # from before its first change to after its last
        for flags in ((), ("--remove",)):
            host.machine.run("timeout", "-s", "KILL", f"0.{hundredths}", "enc-gateway", "setup", *flags)
            assert host.machine.run("/usr/sbin/sshd", "-t").status == 0
            assert host.admin() == "admin own\n"
            assert host.setup(*flags).status == 0
        assert host.state() == before
    host.machine.ok("rm", "-rf", "/var/lib/enc")


def test_removing_takes_back_all_but_the_vaults_and_what_people_wrote(host: Host) -> None:
    before = host.state()
    assert host.setup().status == 0
    key = host.machine.read("/root/dev.pub")
    host.machine.write("/etc/enc/authorized_keys", key)
    assert host.dev("new", "p", stdin=PASSPHRASE + "\n").status == 0
    held = host.hold("/root/dev", "enc", "mount", "p", stdin=PASSPHRASE + "\n")
    held.read_until("unlocked")
    host.machine.write(userns.PROFILE, userns.PROFILE_TEXT)  # as a host with AppArmor has it
    host.machine.ok("enc-gateway", "pause")
    dry, diffs = host.setup("--remove", "--dry-run"), host.setup("--remove", "--dry-run", "--verbose")
    assert f"- {DROP_IN}\n" in dry.out and "+++" not in dry.out and len(dry.out.splitlines()) < 30
    assert f"--- {DROP_IN}\n+++ /dev/null" in diffs.out
    result = host.setup("--remove")
    assert (result.status, held.wait().status) == (0, 75), result
    assert host.dev("ls").status == 255
    assert host.state() == before
    assert host.machine.ok("sh", "-c", "cat /var/lib/enc/kept/*/authorized_keys") == key
    assert host.machine.ok("sh", "-c", "stat -c '%U %a' /var/lib/enc/kept/*") == "root 700\n"
    assert host.machine.ok("sh", "-c", "ls /var/lib/enc/vaults/*/p/cipher/gocryptfs.diriv")
    assert host.setup("--remove").out == "nothing to change\n"
    host.machine.ok("rm", "-rf", "/var/lib/enc")
    host.machine.ok("userdel", "enc")


def test_the_keys_that_removing_kept_let_the_same_people_in_again(host: Host) -> None:
    """As docs/administration.md says."""
    assert host.setup().status == 0
    host.machine.write("/etc/enc/authorized_keys", host.machine.read("/root/dev.pub"))
    assert host.dev("ls").status == 0
    assert host.setup("--remove").status == 0
    assert host.setup().status == 0 and host.dev("ls").status == 255
    page = (ROOT / "docs" / "administration.md").read_text(encoding="utf-8")
    (written,) = re.findall(
        r"^    # (install -m 644 /var/lib/enc/kept/\S+ /etc/enc/authorized_keys)$", page, re.MULTILINE
    )
    moved = re.sub(r"kept/[^/]+/", "kept/*/", written)
    host.machine.ok("sh", "-euc", moved)
    assert host.machine.run("enc-gateway", "key", "lint").status <= 1
    assert host.dev("ls").status == 0
    assert host.setup("--remove").status == 0
    host.machine.ok("rm", "-rf", "/var/lib/enc")


LEFT_BY_THE_ACCOUNT = """
ln -s /root/secret /var/log/enc/audit.jsonl.link
mkfifo /var/log/enc/audit.jsonl.fifo
mkdir /var/log/enc/audit.jsonl.directory && ln -s /root /var/log/enc/audit.jsonl.directory/root
mkdir -p /run/enc/sessions/u-x && cd /run/enc/sessions/u-x
ln -s /root/looks-dead s-link && ln -s /root/looks-dead /run/enc/link && ln -s /root ../u-link
mkdir s-fifo && mkfifo s-fifo/lock s-fifo/record.json
"""


def test_removing_follows_and_keeps_nothing_that_the_account_left(host: Host) -> None:
    assert host.setup().status == 0
    assert host.dev("ls").status == 255
    host.machine.write("/etc/enc/authorized_keys", host.machine.read("/root/dev.pub"))
    assert host.dev("ls").status == 0
    host.machine.ok(
        "sh", "-euc", "echo x >/root/secret; mkdir /root/looks-dead; cd /root/looks-dead; touch lock record.json"
    )
    host.machine.ok("setpriv", "--reuid=enc", "--regid=enc", "--clear-groups", "sh", "-euc", LEFT_BY_THE_ACCOUNT)
    for flags in (("--remove", "--dry-run"), ("--remove",)):
        assert host.setup(*flags).status == 0
    assert host.machine.ok("sh", "-c", "cd /root/looks-dead; echo *") == "lock record.json\n"
    assert host.machine.read("/root/secret") == "x\n" and host.machine.exists("/root/dev")
    kept = host.machine.ok("sh", "-c", "cd /var/lib/enc/kept/*; find . -mindepth 1 ! -type f; ls")
    assert "audit.jsonl\n" in kept and "link" not in kept and "fifo" not in kept and "directory" not in kept
    assert not host.machine.exists("/run/enc")
    host.machine.ok("sh", "-euc", "rm -rf /var/lib/enc /root/secret /root/looks-dead; userdel enc 2>/dev/null || :")


def test_the_account_goes_even_while_a_process_of_it_is_ending(host: Host) -> None:
    """logind's `systemd --user` runs for 10 s after the last login."""
    assert host.setup().status == 0
    account = ["setpriv", "--reuid=enc", "--regid=enc", "--clear-groups"]
    ending = host.machine.hold(*account, "sh", "-c", "echo up; exec sleep 3")
    ending.read_until("up")
    result = host.setup("--remove")
    assert result.status == 0 and "- account enc" in result.out, result
    assert host.machine.run("id", "enc").status != 0
    ending.wait()
    host.machine.ok("rm", "-rf", "/var/lib/enc")


def test_an_sshd_that_is_broken_already_is_left_alone(host: Host) -> None:
    before = host.state()
    host.machine.write("/etc/ssh/sshd_config.d/99-broken.conf", "NoSuchKeyword yes\n")
    try:
        result = host.setup()
    finally:
        host.machine.ok("rm", "/etc/ssh/sshd_config.d/99-broken.conf")
    assert result.status == 75
    assert "NoSuchKeyword" in result.err and "nothing was changed" in result.err
    assert {line for line in host.state() ^ before if "sshd_config.d" not in line} == set()


def test_a_drop_in_without_effect_is_taken_back(host: Host) -> None:
    main = host.machine.read("/etc/ssh/sshd_config")
    host.machine.write("/etc/ssh/sshd_config", main.replace("Include", "#Include"))
    try:
        result = host.setup()
        assert result.status == 75
        assert "has no effect" in result.err and "Include" in result.err
        assert not host.machine.exists(DROP_IN)
        assert host.admin() == "admin own\n"
    finally:
        host.machine.write("/etc/ssh/sshd_config", main)
        host.setup("--remove")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("X11Forwarding no", "would change x11forwarding for root", id="one that concerns everybody"),
        pytest.param("NoSuchKeyword yes", "sshd rejects the drop-in", id="one that sshd does not know"),
    ],
)
def test_a_drop_in_that_would_do_harm_is_not_put_there(host: Host, line: str, said: str) -> None:
    shipped = "/usr/share/enc/sshd_config.d/50-enc.conf"
    text = host.machine.read(shipped)
    before = host.machine.files("/etc/ssh")
    host.machine.write(shipped, f"{line}\n{text}")
    try:
        result = host.setup()
        assert result.status == 75 and said in result.err
        assert host.machine.files("/etc/ssh") == before
        assert host.admin() == "admin own\n"
    finally:
        host.machine.write(shipped, text)
        host.setup("--remove")


def test_a_setting_that_stands_before_the_drop_in_is_named(host: Host) -> None:
    host.machine.write("/etc/ssh/sshd_config.d/10-own.conf", "PermitUserEnvironment ADMINS\n")
    try:
        result = host.setup()
        assert result.status == 75 and "add ENC_USER there" in result.err
        host.machine.write("/etc/ssh/sshd_config.d/10-own.conf", "PermitUserEnvironment ADMINS,ENC_USER\n")
        assert host.setup().status == 0
    finally:
        host.setup("--remove")
        host.machine.ok("rm", "/etc/ssh/sshd_config.d/10-own.conf")


def test_a_person_who_is_called_enc_is_left_alone(host: Host) -> None:
    host.machine.ok("useradd", "--create-home", "enc")
    try:
        result = host.setup()
        assert result.status == 75 and "not the gateway's" in result.err
        assert not host.machine.exists("/etc/enc")
        host.setup("--remove")
        assert host.machine.run("id", "enc").status == 0
    finally:
        host.machine.ok("userdel", "--remove", "enc")


def test_code_that_others_can_change_is_no_gateway(host: Host) -> None:
    host.machine.ok("chmod", "o+w", "/usr/lib/enc/rshell")
    host.machine.ok("chmod", "o+w", "/usr/lib/enc")
    try:
        result = host.setup()
        assert result.status == 75 and "/usr/lib/enc can be changed by others" in result.err
        assert not host.machine.exists("/etc/enc")
    finally:
        host.machine.ok("chmod", "o-w", "/usr/lib/enc", "/usr/lib/enc/rshell")


def test_a_broken_configuration_is_named_and_nothing_is_overwritten(installed: Host) -> None:
    installed.machine.write("/etc/enc/gateway.toml", "[idle]\nview = soon\n")
    result = installed.setup()
    assert result.status == 75 and "gateway.toml, line 2" in result.err
    assert installed.machine.read("/etc/enc/gateway.toml") == "[idle]\nview = soon\n"
    installed.machine.write("/etc/enc/gateway.toml", "[idle]\nview = 77\n")
    assert installed.setup().out == "nothing to change\n"
    assert installed.machine.read("/etc/enc/gateway.toml") == "[idle]\nview = 77\n"
    installed.machine.write(
        "/etc/enc/gateway.toml", "[idle]\nview = soon\n"
    )  # the fixture can still remove the gateway


def test_doctor_looks_at_what_sshd_really_does(installed: Host) -> None:
    machine = installed.machine
    sound = machine.run("enc-gateway", "doctor")
    assert "FAIL" not in sound.out and "settings are in effect for logins as enc" in sound.out, sound
    machine.write("/etc/ssh/sshd_config.d/10-own.conf", "AllowUsers admin\nMatch User enc\n    PermitTunnel yes\n")
    found = machine.run("enc-gateway", "doctor")
    assert "FAIL  sshd: permittunnel is yes for enc, not no" in found.out
    assert "WARN  sshd: allowusers may exclude enc: admin" in found.out
    machine.write("/etc/ssh/sshd_config.d/10-own.conf", "NoSuchKeyword yes\n")
    found = machine.run("enc-gateway", "doctor")
    assert found.status == 2 and "FAIL  sshd: its configuration is invalid" in found.out
    machine.ok("rm", "/etc/ssh/sshd_config.d/10-own.conf")
    drop_in = machine.read(DROP_IN)
    machine.write(DROP_IN, drop_in.replace("X11Forwarding no", "X11Forwarding  no"))
    assert "differs from what setup would write" in machine.run("enc-gateway", "doctor").out
    machine.ok("rm", DROP_IN)
    assert "nobody can log in  (enc-gateway setup)" in machine.run("enc-gateway", "doctor").out
    machine.ok("chmod", "o+w", "/usr/lib/enc")
    machine.write(DROP_IN, drop_in)
    assert "FAIL  code: /usr/lib/enc can be changed by others" in machine.run("enc-gateway", "doctor").out
    machine.ok("chmod", "o-w", "/usr/lib/enc")
    as_account = machine.run("setpriv", "--reuid=enc", "--regid=enc", "--clear-groups", "enc-gateway", "doctor")
    assert "only root can check its configuration" in as_account.out and "FAIL" not in as_account.out, as_account


def test_the_page_for_the_sysadmin_does_what_it_says(host: Host, package: Path) -> None:
    """Run the commands of the page up to "Keys", in order. `laptop$` is another account on the same machine,
    `SHA256:...` the fingerprint of its key, and `--invite -` reads the code that was printed before.
    """
    machine = host.machine
    page = (ROOT / "docs" / "administration.md").read_text(encoding="utf-8").partition("## Keys")[0]
    commands = re.findall(r"^    (gw#|laptop\$) (.*)$", page, re.MULTILINE)
    machine.ok("sh", "-euc", "echo 127.0.0.1 gateway.example >>/etc/hosts; useradd -m -p '*' laptop")
    machine.ok("install", "-d", "-m", "700", "-o", "laptop", "/run/laptop")
    own = ["HOME=/home/laptop", "XDG_RUNTIME_DIR=/run/laptop"]
    laptop = ["setpriv", "--reuid=laptop", "--regid=laptop", "--clear-groups", "env", *own, "sh", "-euc"]
    done, code = [], ""
    for where, written in commands:
        if written.startswith("apt install"):  # that is how `host` came to it, without a mirror
            assert written == f"apt install ./{package.name}"
            continue
        shown = machine.run("ssh-keygen", "-lf", "/home/laptop/.ssh/id_ed25519.pub").out.split()
        command = written.replace("SHA256:...", shown[1]) if "SHA256:..." in written else written
        if where == "gw#":
            machine.run("cp", "/home/laptop/.ssh/id_ed25519.pub", "/tmp/id_ed25519.pub")
            result = machine.run("sh", "-euc", command)
            assert result.status == 0 or ("doctor" in command and "FAIL" not in result.out), (command, result)
        else:
            accepting = command.replace("ssh ", "ssh -o StrictHostKeyChecking=accept-new ", 1)
            secret = " -t " in command or command.startswith("enc new ")
            stdin = code + "\n" if command.endswith("--invite -") else 2 * (PASSPHRASE + "\n") if secret else ""
            result = machine.run(*laptop, accepting, stdin=stdin)
            assert result.status == 0, (command, result)
        code = next((line for line in result.out.splitlines() if line.startswith("enc1-")), code)
        done.append(result.out)
    assert any("dev1" in out for out in done)
    assert any(re.search(r"^myproj +locked", out, re.MULTILINE) for out in done)
    assert not machine.exists(DROP_IN)
    machine.ok("rm", "-rf", "/var/lib/enc")
    machine.ok("userdel", "enc")


SECTIONS = ("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES")


def test_the_manual_has_every_command_and_every_key(host: Host) -> None:
    for page, words in (
        (
            "man8/enc-gateway.8",
            (
                *("setup", "doctor", "pause", "resume", "audit rotate", "audit verify", "sessions kill"),
                *("EXAMPLES", "FILES", "ENVIRONMENT", "EXIT STATUS", "enc-gateway restore /backup/enc dev1 billing"),
            ),
        ),
        ("man5/gateway.toml.5", tuple(key.name for key in schema.KEYS)),
        ("man1/enc.1", ("enc login", "enc mount", "enc unmount", "enc doctor", *SECTIONS)),
    ):
        # in 200 columns, so that no name is broken across lines
        show = f"zcat /usr/share/man/{page}.gz | MANWIDTH=200 man --warnings -P cat -l - 2>&1 | col -b"
        shown = host.machine.ok("sh", "-c", show)
        assert ": warning: " not in shown
        assert [word for word in words if word not in shown] == []
        assert page != "man1/enc.1" or shown.count("--host NAME") == 1, "what all commands take is told once"


def test_the_package_has_completion_of_enc_for_each_shell(host: Host) -> None:
    for path in (
        "bash-completion/completions/enc",
        "zsh/vendor-completions/_enc",
        "fish/vendor_completions.d/enc.fish",
    ):
        assert "_ENC_COMPLETE" in host.machine.ok("cat", f"/usr/share/{path}")


def test_bash_completes_the_commands_of_the_package(host: Host) -> None:
    for program, typed, expected in (("enc-gateway", "key inv", "invite invites"), ("enc", "unm", "unmount")):
        words = f"COMP_WORDS=({program} {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
        function = f"_{program.replace('-', '_')}_completion"
        loaded = f". /usr/share/bash-completion/completions/{program}"
        script = f'{loaded}; {words}; {function} {program}; echo "${{COMPREPLY[@]}}"'
        assert host.machine.ok("bash", "-c", script) == f"{expected}\n"


def test_an_update_of_the_package_keeps_the_gateway(installed: Host) -> None:
    state = installed.state()
    installed.machine.ok("dpkg", "-i", "/root/enc.deb")
    assert installed.state() == state
    assert installed.dev("ls").status == 0


def test_removing_the_package_takes_the_drop_in_along(host: Host) -> None:
    assert host.setup().status == 0
    host.machine.ok("dpkg", "-r", "enc-gateway")
    try:
        assert not host.machine.exists(DROP_IN)
        assert not host.machine.exists("/usr/lib/enc")
        assert host.admin() == "admin own\n"
    finally:
        host.machine.ok("dpkg", "--unpack", "/root/enc.deb")
