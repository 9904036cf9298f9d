"""Enrolment by invitation, with only stock ssh and ssh-keygen: one right, once, for a limited time, and recorded."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.identity import authorized_keys
from tests.harness import Gateway, Person, admin, run


def invited(gateway: Gateway, at: Path, *words: str) -> Person:
    """A person with an invitation for dev1 as a key file (`invite`), and their own key beside it (`id`)."""
    printed = admin(gateway, "key", "invite", "dev1", "--as-key", *words)
    assert printed.status == 0, printed
    (at / "invite").write_text(printed.out)
    (at / "invite").chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f", str(at / "id")], check=True)
    return Person(gateway, "invited", at / "invite")


def public(at: Path) -> str:
    return (at / "id.pub").read_text()


def print_of(line: str) -> str:
    return authorized_keys.fingerprint(line.split()[1])


def print_of_private(key: Path) -> str:
    said = subprocess.run(["ssh-keygen", "-yf", str(key)], capture_output=True, text=True, check=True).stdout
    return print_of(said)


def test_a_key_is_handed_in_approved_and_works(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = make_gateway()
    gateway.authorized_keys.write_text("# before\n\n# after\n")
    invite, me = invited(gateway, tmp_path), Person(gateway, "me", tmp_path / "id")
    fingerprint = print_of(public(tmp_path))
    done = invite.ssh("enrol", stdin=public(tmp_path))
    assert done.status == 0 and fingerprint in done.out, done
    assert me.ssh("whoami").status == 255, "nothing is open before a sysadmin has said so"
    (row,) = json.loads(admin(gateway, "key", "invites", "--json").out)["invites"]
    assert (row["key"], row["principal"], row["state"], row["key_label"]) == (
        fingerprint,
        "dev1",
        "handed in",
        "me@laptop",
    )
    again = invite.ssh("enrol", stdin=public(tmp_path))
    assert again.status == 77 and "already been used" in again.err
    approved = admin(gateway, "key", "approve", fingerprint, "--from", "127.0.0.0/8")
    assert approved.status == 0 and fingerprint in approved.out
    assert me.ssh("whoami", "--json").json["principal"] == "dev1"
    assert invite.ssh("enrol", stdin=public(tmp_path)).status == 255, "the invitation is gone"
    assert gateway.authorized_keys.read_text() == (
        '# before\n\n# after\nrestrict,pty,environment="ENC_USER=dev1",from="127.0.0.0/8" ' + public(tmp_path)
    )
    events = [one["event"] for one in gateway.audit() if one["event"] not in ("request", "result")]
    assert events == ["invited", "enrolled", "approved"]
    assert {one["principal"] for one in gateway.audit()} == {"dev1"}
    (enrolled,) = gateway.events("enrolled")
    assert enrolled["key"] == fingerprint and enrolled["invite"] == row["fingerprint"]
    assert not list((gateway.root / "enrolments").iterdir())
    assert admin(gateway, "key", "approve", fingerprint).status == 66


NOTHING_ELSE = [
    ("help",),
    ("whoami",),
    ("ls",),
    ("new", "work"),
    ("mount", "work"),
    ("session",),
    ("rsync", "--server", "."),
    ("scp", "-t", "work"),
    ("/usr/lib/openssh/sftp-server",),
    ("enrol", "x"),
    ("enrol;", "ls"),
    ("'enrol ls'",),
    ("",),
    (),
]


def test_an_invitation_has_no_other_right(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = make_gateway()
    owner = gateway.person("owner", "dev1")
    owner.new("work")
    invite = invited(gateway, tmp_path)
    for words in NOTHING_ELSE:
        result = invite.ssh(*words, stdin=public(tmp_path))
        assert result.status == 126 and "can only hand in a key" in result.err, (words, result)
    terminal = invite.terminal()
    try:
        assert terminal.wait() == 255, "it has no terminal"
    finally:
        terminal.close()
    assert invite.sftp("ls").status != 0
    for forward in (("-L", "0:127.0.0.1:1"), ("-R", "0:127.0.0.1:1"), ("-D", "0")):
        assert invite.ssh("-N", extra=(*forward, "-o", "ExitOnForwardFailure=yes", "-v")).status != 0
    assert not gateway.events("session-opened") and not gateway.events("enrolled")
    assert {one["reason"] for one in gateway.events("request") if "invite" in one} == {"not-allowed-here"}
    with owner.mounted("work"):
        assert invite.ssh("status").status == 126
    assert invite.ssh("enrol", stdin=public(tmp_path)).status == 0, "and this one it still has"


@pytest.mark.parametrize(
    ("handed_in", "status", "said"),
    [
        pytest.param("", 64, "standard input ended", id="nothing"),
        pytest.param("nonsense\n", 64, "not one public key", id="no key"),
        pytest.param("restrict ID", 64, "not one public key", id="options"),
        pytest.param("-----BEGIN OPENSSH PRIVATE KEY-----\n", 64, "private key", id="a private key"),
        pytest.param("ssh-ed25519 AAAA\n", 64, "not one public key", id="half a key"),
        pytest.param("x" * 4096, 64, "longer than", id="too much"),
    ],
)
def test_what_is_no_public_key_is_refused_and_uses_nothing_up(
    gateway: Gateway, tmp_path: Path, handed_in: str, status: int, said: str
) -> None:
    invite = invited(gateway, tmp_path)
    result = invite.ssh("enrol", stdin=handed_in.replace("ID", public(tmp_path)))
    assert result.status == status and said in result.err
    assert invite.ssh("enrol", stdin=public(tmp_path)).status == 0


def test_a_pause_refuses_a_key_and_keeps_the_invitation(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = make_gateway()
    invite = invited(gateway, tmp_path)
    assert admin(gateway, "pause", "--message", "new disks").status == 0
    refused = invite.ssh("enrol", stdin=public(tmp_path))
    assert (refused.status, refused.err) == (75, "enc: the gateway is paused: new disks; try again later\n")
    assert gateway.events("request", decision="deny", reason="paused") and not gateway.events("enrolled")
    assert admin(gateway, "resume").status == 0
    assert invite.ssh("enrol", stdin=public(tmp_path)).status == 0


def test_of_many_at_once_one_key_is_taken(gateway: Gateway, tmp_path: Path) -> None:
    invite = invited(gateway, tmp_path)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: invite.ssh("enrol", stdin=public(tmp_path)).status, range(6)))
    assert sorted(results) == [0, 77, 77, 77, 77, 77]
    assert not [path for path in (gateway.root / "enrolments").iterdir() if ".new-" in path.name]


def test_a_label_cannot_make_a_line_of_its_own(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = make_gateway()
    invite = invited(gateway, tmp_path)
    words = public(tmp_path).split()
    hostile = f'{words[0]} {words[1]} \x1b[2J"\rrestrict {words[0]} {words[1]} \u2028x\n'
    assert invite.ssh("enrol", stdin=hostile).status == 0
    before = gateway.authorized_keys.read_text().count("\n")
    assert "\x1b" not in admin(gateway, "key", "invites").out
    assert admin(gateway, "key", "approve", print_of(hostile)).status == 0
    text = gateway.authorized_keys.read_text()
    assert text.count("\n") == before and text.replace("\n", "").isprintable()
    (entry,) = authorized_keys.parse(text)
    assert entry.principal == "dev1"


def test_an_invitation_ends_when_it_is_denied_revoked_or_expired(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_gateway()
    for name in ("denied", "revoked", "expired"):
        (tmp_path / name).mkdir()
    denied = invited(gateway, tmp_path / "denied")
    assert denied.ssh("enrol", stdin=public(tmp_path / "denied")).status == 0
    assert admin(gateway, "key", "approve", "--deny", print_of(public(tmp_path / "denied"))).status == 0
    assert denied.ssh("enrol", stdin=public(tmp_path / "denied")).status == 255
    revoked = invited(gateway, tmp_path / "revoked")
    assert revoked.ssh("enrol", stdin=public(tmp_path / "revoked")).status == 0
    assert admin(gateway, "key", "revoke", print_of_private(revoked.key)).status == 0
    assert admin(gateway, "key", "approve", print_of(public(tmp_path / "revoked"))).status == 66
    expired = invited(gateway, tmp_path / "expired")
    text = gateway.authorized_keys.read_text()
    gateway.authorized_keys.write_text(re.sub('expiry-time="[0-9]{4}', 'expiry-time="2020', text))
    assert expired.ssh("enrol", stdin=public(tmp_path / "expired")).status == 255
    (row,) = json.loads(admin(gateway, "key", "invites", "--json").out)["invites"]
    assert row["state"] == "expired"
    assert [one["event"] for one in gateway.events("denied")] == ["denied"]
    assert admin(gateway, "key", "lint").status == 1


def test_a_key_that_is_listed_already_is_not_approved(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = make_gateway()
    other = gateway.person("other", "dev2")
    invite = invited(gateway, tmp_path)
    line = Path(f"{other.key}.pub").read_text()
    assert invite.ssh("enrol", stdin=line).status == 0
    before = gateway.authorized_keys.read_bytes()
    result = admin(gateway, "key", "approve", print_of(line))
    assert result.status == 64 and "already in line 1, as dev2" in result.err
    assert gateway.authorized_keys.read_bytes() == before
    assert admin(gateway, "key", "invites", "--json").out.count("handed in") == 1, "it can still be denied"


def test_the_code_is_the_key_of_the_invitation_and_the_host(gateway: Gateway, tmp_path: Path) -> None:
    host_key = gateway.root / "host_ed25519.pub"
    result = admin(gateway, "key", "invite", "dev1", "--json", "--host-key", str(host_key))
    code = str(result.json["code"])
    assert code.startswith("enc1-") and len(code) == 139
    payload = base64.urlsafe_b64decode(code.removeprefix("enc1-") + "==")
    assert zlib.crc32(payload[:96]) == int.from_bytes(payload[96:], "big")
    seed, key, host = payload[:32], payload[32:64], payload[64:96]
    assert base64.b64decode(host_key.read_text().split()[1])[-32:] == host
    # As docs/protocol.md says: make a private key file for ssh from the code
    public_blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", key))
    private = bytes(8) + public_blob + (64).to_bytes(4, "big") + seed + key + bytes(4)
    private += bytes(range(1, 1 + -len(private) % 8))
    head = b"openssh-key-v1\0" + b"".join(len(part).to_bytes(4, "big") + part for part in (b"none", b"none", b""))
    whole = head + (1).to_bytes(4, "big")
    whole += b"".join(len(part).to_bytes(4, "big") + part for part in (public_blob, private))
    text = base64.b64encode(whole).decode()
    (tmp_path / "invite").write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    (tmp_path / "invite").chmod(0o600)
    invite = Person(gateway, "code", tmp_path / "invite")
    assert print_of_private(invite.key) == result.json["invite"]
    assert invite.ssh("ls").status == 126
    assert str(result.json["code"]) not in gateway.authorized_keys.read_text()


def test_the_recipe_in_the_docs_works(gateway: Gateway, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
    recipe = page.partition("<!-- recipe -->\n")[2].partition("\n\n")[0]
    printed = admin(gateway, "key", "invite", "dev1", "--as-key")
    commands = "\n".join(line.strip() for line in recipe.splitlines())
    assert "ssh-keygen" in commands and "enrol" in commands
    script = commands.replace("~/.ssh", str(tmp_path)).replace("enc@gateway", f"-F {gateway.ssh_config} gateway")
    done = run(["sh", "-euc", script.replace("ed25519 -f", "ed25519 -N '' -q -f")], stdin=printed.out)
    assert done.status == 0 and "handed in" in done.out, done
