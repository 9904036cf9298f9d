"""`enc-gateway key`: edits of authorized_keys change nothing else, and lint agrees with sshd."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import Busy
from gateway.identity import authorized_keys, keyfile, lint
from tests.harness import Gateway, Person, admin, eventually, need
from tests.life import session


def new_key(at: Path, kind: str = "ed25519") -> str:
    """Make a key pair and return its public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "made here", "-f", str(at)], check=True)
    return Path(f"{at}.pub").read_text()


def print_of(line: str) -> str:
    (entry,) = authorized_keys.parse(line)
    return authorized_keys.fingerprint(entry.blob)


def test_a_key_is_added_listed_and_revoked_and_the_rest_of_the_file_stays(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    by_hand = gateway.person("by-hand", "dev0")
    file = gateway.authorized_keys
    file.write_text("# who is who\n\n" + file.read_text() + "\t# odd \xe9 line\r\nnonsense  ", encoding="latin-1")
    file.chmod(0o640)
    before, owner = file.read_bytes(), file.stat()
    line = new_key(tmp_path / "new")
    added = admin(
        gateway, "key", "add", "-", "--principal", "dev1", "--from", "127.0.0.0/8", "--expires", "2w", stdin=line
    )
    assert added.status == 0, added
    text = file.read_bytes()
    assert text.startswith(before + b'\nrestrict,pty,environment="ENC_USER=dev1",from="127.0.0.0/8",expiry-time="')
    assert (file.stat().st_mode, file.stat().st_uid) == (owner.st_mode, owner.st_uid)
    file.chmod(0o644)
    assert Person(gateway, "new", tmp_path / "new").ssh("whoami", "--json").json["principal"] == "dev1"
    rows = json.loads(admin(gateway, "key", "list", "--json").out)["keys"]
    assert [(row["principal"], row["state"]) for row in rows] == [("dev0", "good"), ("dev1", "good")]
    again = admin(gateway, "key", "add", "-", stdin=line)
    assert again.status == 64 and "already" in again.err
    assert by_hand.ssh("whoami").status == 0
    assert admin(gateway, "key", "revoke", print_of(line)).status == 0
    assert file.read_bytes() == before + b"\n"
    assert Person(gateway, "new", tmp_path / "new").ssh("whoami").status == 255
    assert admin(gateway, "key", "revoke", print_of(line)).status == 66
    assert admin(gateway, "key", "revoke", print_of(line), "--json").json["error"] == "no-such-key"
    assert [(one["event"], one["principal"]) for one in gateway.audit() if "by" in one] == [
        ("key-added", "dev1"),
        ("key-revoked", "dev1"),
    ]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_only_strong_keys_are_added(gateway: Gateway, tmp_path: Path, kind: str) -> None:
    before = gateway.authorized_keys.read_bytes()
    result = admin(gateway, "key", "add", "-", stdin=new_key(tmp_path / "key", kind))
    assert result.status == 64 and "ssh-ed25519" in result.err
    private = admin(gateway, "key", "add", str(tmp_path / "key"))
    assert private.status == 64 and "private key" in private.err
    assert gateway.authorized_keys.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("--principal", "a b"),
        ("--principal", "invite:x"),
        ("--from", "10.0.0.1/8"),
        ("--from", 'x",command="y'),
        ("--expires", "2020-01-01"),
        ("--expires", "tomorrow"),
    ],
)
def test_odd_words_are_refused(gateway: Gateway, tmp_path: Path, words: tuple[str, str]) -> None:
    before = gateway.authorized_keys.read_bytes()
    assert admin(gateway, "key", "add", "-", *words, stdin=new_key(tmp_path / "key")).status == 64
    assert gateway.authorized_keys.read_bytes() == before


def test_an_edit_gives_way_to_somebody_else_s_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "authorized_keys"
    file.write_text("one\n")

    def change(lines: list[str]) -> None:
        keyfile.append(lines, "two")
        file.write_text("an editor's\n")

    with pytest.raises(Busy):
        keyfile.edit(str(file), change)
    assert file.read_text() == "an editor's\n"
    assert [path.name for path in tmp_path.iterdir()] == ["authorized_keys"]


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one")
    (tmp_path / "authorized_keys").symlink_to("real")
    keyfile.edit(str(tmp_path / "authorized_keys"), lambda lines: keyfile.append(lines, "two"))
    assert (tmp_path / "authorized_keys").is_symlink() and (tmp_path / "real").read_text() == "one\ntwo\n"


# An expired key; lint compared with sshd


TOKYO = "mount --bind /usr/share/zoneinfo/Asia/Tokyo /etc/localtime"
"""Gives the host another time zone than a sandbox without /etc/localtime has (UTC)."""


def test_a_key_that_expires_loses_its_session(make_gateway: Callable[..., Gateway]) -> None:
    need(Path("/usr/share/zoneinfo/Asia/Tokyo").exists(), "there are no time zones (tzdata)")
    gateway = make_gateway(host=TOKYO)
    who, other = gateway.person("short", "dev1"), gateway.person("long", "dev1")
    who.new("work")
    with session(other) as (staying, _), who.mounted("work") as held:
        ends = int(time.time()) + 5
        until = time.strftime("%Y%m%d%H%M%S", time.gmtime(ends + 9 * 3600))
        text = gateway.authorized_keys.read_text()
        blob = f"ssh-ed25519 {Path(f'{who.key}.pub').read_text().split()[1]}"
        limited = text.replace(f'dev1" {blob}', f'dev1",expiry-time="{until}" {blob}')
        assert limited != text
        gateway.authorized_keys.write_text(limited)
        assert who.ssh("whoami").status == 0, "it is good until then"
        assert held.wait(20).status == 75
        assert gateway.events("locked", project="work", reason="revoked")
        assert time.time() >= ends + 1, "sshd takes it until the end of that second"
        assert staying.process.poll() is None
        assert who.ssh("whoami").status == 255, "sshd lets it in no more"


TAKEN = [
    ("restrict", True),
    ("RESTRICT,pty", True),
    ('restrict,expiry-time="20990101"', True),
    ('restrict,expiry-time="209901010000Z"', True),
    ('restrict,expiry-time="20200101"', False),
    ('expiry-time="20990101",expiry-time="20200101"', False),
    ('expiry-time="soon"', False),
    ('expiry-time="20991301"', False),
    ("expiry-time=20990101", False),
    ("cert-authority", False),
    ("no-such-option", False),
    ("restrict,", False),
    ('from="127.0.0.0/8",from="127.0.0.0/8"', False),
    ('command="a",command="b"', False),
    ('from="127.0.0.1"', True),
    ('environment="ENC_USER=a",environment="ENC_USER=b"', True),
    ('environment="OTHER=a"', True),
    ("restrict,no-touch-required,verify-required", True),
]


@pytest.mark.parametrize(("options", "taken"), TAKEN)
def test_lint_finds_an_error_where_sshd_lets_nobody_in(
    gateway: Gateway, person: Person, options: str, taken: bool
) -> None:
    text = gateway.authorized_keys.read_text()
    blob = Path(f"{person.key}.pub").read_text().split()[1]
    changed = text.replace(f"ssh-ed25519 {blob}", f"{options} ssh-ed25519 {blob}")
    number = next(number for number, line in enumerate(changed.splitlines(), 1) if blob in line)
    gateway.authorized_keys.write_text(changed)
    try:
        findings = lint.examine(str(gateway.authorized_keys), time.time())
        mine = [finding for finding in findings if finding.line == number]
        said = any(
            "sshd does not accept this line" in finding.problem or "expired" in finding.problem for finding in mine
        )
        assert said != taken, mine
        assert (person.ssh("help").status == 0) == taken
    finally:
        gateway.authorized_keys.write_text(text)


ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
ONE, TWO = ED + "A" * 43, ED + "B" + "A" * 42


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        pytest.param(f"restrict,pty {ONE}\n# note\n\n", None, "", id="a good file"),
        pytest.param(f"{ONE}\n", "WARN", "restrict is missing", id="no restrict"),
        pytest.param(f"restrict {ONE}\nrestrict {ONE}\n", "WARN", "already in line 1", id="a duplicate"),
        pytest.param(
            f'restrict,environment="ENC_USER=a" {ONE}\nrestrict,environment="ENC_USER=b" {ONE}\n',
            "ERROR",
            "two principals",
            id="two principals on one key",
        ),
        pytest.param("restrict ssh-rsa AAAA x\n", "ERROR", "ssh-rsa keys are not accepted", id="a weak type"),
        pytest.param("restrict ssh-new AAAA x\n", "ERROR", "no readable key", id="an unknown type"),
        pytest.param(f"restrict {ONE[:-2]}\n", "ERROR", "damaged", id="half a key"),
        pytest.param(f'restrict,expiry-time="20200101" {ONE}\n', "WARN", "has expired", id="expired"),
        pytest.param(f'restrict,environment="ENC_USER=a b" {ONE}\n', "ERROR", "not a valid principal", id="a bad name"),
        pytest.param(f'restrict,command="x" {ONE}\n', "WARN", "no effect", id="a command"),
        pytest.param(f"restrict,port-forwarding {ONE}\n", "WARN", "no effect", id="forwarding"),
        pytest.param(f"restrict {TWO}\nlost words\n", "ERROR", "no readable key", id="garbage"),
        pytest.param(f"restrict {ONE} a@b{TWO} c@d\n", "ERROR", "has another key", id="a key in a comment"),
        pytest.param(
            f'restrict {ONE} a@brestrict,environment="ENC_USER=b" {TWO}\n', "ERROR", "another key", id="with options"
        ),
        pytest.param(f"restrict {ONE} a@b\r{TWO} c@d\n", "ERROR", "has another key", id="lines that end with CR"),
        pytest.param(f"# the team{ONE} a@b\n", "WARN", "key at its end", id="a key in a comment line"),
        pytest.param(f"#{ONE} a@b\n# restrict {TWO}\n", None, "", id="keys that are out of use"),
        pytest.param(f"restrict {ONE} a@b", "WARN", "no newline", id="no newline at the end"),
    ],
)
def test_lint_names_the_line_and_the_level(tmp_path: Path, text: str, level: str | None, said: str) -> None:
    file = tmp_path / "authorized_keys"
    file.write_text(text)
    file.chmod(0o644)
    findings = lint.examine(str(file), time.time())
    assert lint.exit_code(findings) == (0 if level is None else ["WARN", "ERROR"].index(level) + 1), findings
    if level:
        (finding,) = findings
        assert finding.level.value == level and said in finding.problem
        assert finding.line == (2 if text.count("\n") == 2 else 1)


def test_lint_minds_owner_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "authorized_keys"
    file.write_text("")
    for mode, said in ((0o664, "writable by others"), (0o666, "writable by others"), (0o600, "cannot read")):
        file.chmod(mode)
        assert any(said in finding.problem for finding in lint.examine(str(file), 0)), oct(mode)


def test_lint_minds_who_can_replace_the_file(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "enc" / "authorized_keys"
    file.parent.mkdir(parents=True)
    file.write_text("")
    file.chmod(0o644)
    assert not lint.examine(str(file), 0)
    for directory in (file.parent, file.parent.parent):
        directory.chmod(0o775)
        (found,) = lint.examine(str(file), 0)
        assert found.level is lint.Level.ERROR and found.problem.startswith(f"{directory} is writable by others")
        assert len(lint.examine(str(file), 0, str(file.parent))) == (directory == file.parent)
        directory.chmod(0o755)


def test_an_embedded_gateway_can_be_where_others_can_write(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    above = gateway.root.parent
    mode = above.stat().st_mode
    above.chmod(0o777)
    try:
        assert admin(gateway, "key", "lint").status == 0
    finally:
        above.chmod(mode)


def test_lint_on_the_command_line(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.authorized_keys.write_text("restrict ssh-rsa \x1b[2J x\n")
    result = admin(gateway, "key", "lint")
    assert result.status == 2 and "authorized_keys:1: " in result.out and "\x1b" not in result.out
    result = admin(gateway, "key", "lint", "--json")
    assert result.status == 2 and result.json["findings"]
    gateway.authorized_keys.write_text("# nobody\n")
    eventually(lambda: admin(gateway, "key", "lint").status == 0)
