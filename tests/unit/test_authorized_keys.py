"""authorized_keys: the lines that sshd takes, what they say, and the fingerprints that ssh-keygen prints."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.errors import Misconfigured
from gateway.identity import authorized_keys
from gateway.identity.authorized_keys import Entry, fingerprint, parse


def blob(kind: str, *fields: bytes) -> str:
    """A public key as it goes over the wire (RFC 4253, 6.6), in base64."""
    parts = [kind.encode(), *fields]
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


ED, SK = "ssh-ed25519", "sk-ssh-ed25519@openssh.com"
ONE, TWO = blob(ED, b"\1" * 32), blob(ED, b"\2" * 32)
CARD = blob(SK, b"\3" * 32, b"ssh:")
RSA = blob("ssh-rsa", b"\1\0\1", b"\0" + b"\xc5" * 256)


def entry(key: str = ONE, principal: str = "", label: str = "", line: int = 1, kind: str = ED) -> Entry:
    return Entry(key_type=kind, blob=key, principal=principal, label=label, line=line)


LINES = [
    pytest.param(f"{ED} {ONE}", [entry()], id="bare, no comment, no line end"),
    pytest.param(f"{ED} {ONE} dev@laptop\n", [entry(label="dev@laptop")], id="bare with a comment"),
    pytest.param(f"{ED} {ONE} two  words \n", [entry(label="two  words")], id="a comment of several words"),
    pytest.param(f"{ED}\t{ONE}\tlabel\n", [entry(label="label")], id="tabs"),
    pytest.param(f"  \t{ED} {ONE}\n", [entry()], id="blanks before"),
    pytest.param(f"{ED} {ONE} a\r\n", [entry(label="a")], id="CRLF"),
    pytest.param(f"{ED} {ONE}\r\n{ED} {TWO}\r\n", [entry(), entry(TWO, line=2)], id="CRLF without comments"),
    pytest.param(f"{SK} {CARD} card\n", [entry(CARD, label="card", kind=SK)], id="security key"),
    pytest.param(f'environment="ENC_USER=dev1" {ED} {ONE} a\n', [entry(principal="dev1", label="a")], id="a principal"),
    pytest.param(f'ENVIRONMENT="ENC_USER=dev1" {ED} {ONE}\n', [entry(principal="dev1")], id="options in capitals"),
    pytest.param(f'environment="enc_user=dev1" {ED} {ONE}\n', [entry()], id="variables are not options"),
    pytest.param(f'environment="ENC_USER2=x" {ED} {ONE}\n', [entry()], id="another variable that starts alike"),
    pytest.param(f'environment="X=ENC_USER=x" {ED} {ONE}\n', [entry()], id="another variable that has the name in it"),
    pytest.param(f'environment="ENC_USER=" {ED} {ONE}\n', [entry()], id="an empty principal is none"),
    pytest.param(
        f'restrict,environment="ENC_USER=dev1",from="10.0.0.0/8,192.168.1.1" {ED} {ONE} a\n',
        [entry(principal="dev1", label="a")],
        id="several options, a comma in quotes",
    ),
    pytest.param(
        f'command="echo, environment=\\"ENC_USER=evil\\" x",environment="ENC_USER=dev1" {ED} {ONE}\n',
        [entry(principal="dev1")],
        id="an option in another one's quotes is none",
    ),
    pytest.param(
        f'command="echo \\" {ED} {TWO} \\"" {ED} {ONE}\n', [entry()], id="a key in an option's quotes is none"
    ),
    pytest.param(f'command="a\tb c" {ED} {ONE}\n', [entry()], id="blanks in quotes"),
    pytest.param(f'command="c:\\\\" {ED} {ONE}\n', [], id="a backslash escapes a quote even after another"),
    pytest.param(
        f'environment="ENC_USER=first",environment="ENC_USER=second" {ED} {ONE}\n',
        [entry(principal="first")],
        id="of several, the first",
    ),
    pytest.param(f"restrict\t{ED} {ONE}\n", [entry()], id="a tab behind the options"),
    pytest.param(f'restrict, environment="ENC_USER=x" {ED} {ONE}\n', [], id="a blank between options"),
    pytest.param(f'command="open {ED} {ONE}\n', [], id="quotes that do not close"),
    pytest.param(f"# {ED} {ONE}\n", [], id="comment line"),
    pytest.param(f"  #{ED} {ONE}\n", [], id="comment line with blanks before"),
    pytest.param(f"# off\v{ED} {ONE}\n", [], id="a vertical tab ends no line"),
    pytest.param(f"# off\f{ED} {ONE}\n", [], id="nor does a form feed"),
    pytest.param(f"# off\x1c{ED} {ONE}\n", [], id="nor does a file separator"),
    pytest.param(f"# off\x85{ED} {ONE}\n", [], id="nor does NEL"),
    pytest.param(f"# off\u2028{ED} {ONE}\n", [], id="nor does a line separator"),
    pytest.param(f"# off\r{ED} {ONE}\n", [], id="nor does a lone carriage return"),
    pytest.param(f"{ED} {ONE} a\u2028b\n{ED} {TWO}\n", [entry(label="a\u2028b"), entry(TWO, line=2)], id="lines"),
    pytest.param(f"\u00a0{ED} {ONE}\n", [], id="a blank that is none to sshd"),
    pytest.param("\n \n\t\n", [], id="blank lines"),
    pytest.param(f"{ED}\n", [], id="a type and no key"),
    pytest.param(f"{ONE}\n", [], id="a key and no type"),
    pytest.param("garbage\n", [], id="garbage"),
    pytest.param("\x00\x01\udcff\n", [], id="binary"),
    pytest.param(f"ssh-rsa {RSA} old\n", [], id="a type that we do not admit"),
    pytest.param(f"ssh-ed25519x {ONE}\n", [], id="a type that starts alike"),
    pytest.param(
        f"junk\n\n# note\n{ED} {ONE} a\n  \nrestrict {SK} {CARD}\n",
        [entry(label="a", line=4), entry(CARD, line=6, kind=SK)],
        id="good lines among bad ones",
    ),
]


def keygen_says(text: str) -> list[str]:
    """The fingerprints that OpenSSH finds in `text`, in order; it reads options as sshd does."""
    said = subprocess.run(
        ["/usr/bin/ssh-keygen", "-l", "-f", "-"],
        input=text.encode(errors="surrogateescape"),
        capture_output=True,
        check=False,
    )
    words = [line.split() for line in said.stdout.decode(errors="replace").split("\n")]
    return [line[1] for line in words if line and line[-1] in ("(ED25519)", "(ED25519-SK)")]


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_reads_the_lines_that_sshd_reads(text: str, expected: list[Entry]) -> None:
    assert [found.replace(options=(), problem="") for found in parse(text)] == expected


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_the_table_is_what_openssh_reads(text: str, expected: list[Entry]) -> None:
    assert keygen_says(text) == [fingerprint(entry.blob) for entry in expected]


PIECES = st.sampled_from(
    [f"{ED} {ONE}", f"{ED} {TWO} c", f"{SK} {CARD}", 'environment="ENC_USER=a"', "restrict", "command=", '"', '\\"',
     "\\", ",", " ", "\t", "#", "\r\n", "\n", "\v", "\x85", "\u2028", "x", "ENC_USER=b"]
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_finds_the_keys_that_openssh_finds(text: str) -> None:
    # Behind options ssh-keygen takes one blank, where sshd takes any number.
    text = re.sub(r"[ \t]{2,}", " ", text)
    # OpenSSH stops reading a key at any byte that is no base64, and reports such a line as it likes
    words = [entry.blob for entry in parse(text)]
    assume(all(word in (ONE, TWO, CARD) for word in words))
    assert [fingerprint(word) for word in words] == keygen_says(text)


@given(st.text(st.characters()))
def test_no_text_makes_it_fail(text: str) -> None:
    for found in parse(text):
        assert found.key_type in authorized_keys.KEY_TYPES
        assert found.blob and not set(found.blob) & set(" \t\n")
        assert 1 <= found.line <= text.count("\n") + 1


@settings(max_examples=20)
@given(st.binary(min_size=32, max_size=32), st.booleans())
def test_a_fingerprint_is_what_ssh_keygen_prints(key: bytes, card: bool) -> None:
    kind = SK if card else ED
    public = blob(kind, key, b"ssh:") if card else blob(kind, key)
    assert keygen_says(f"{kind} {public}\n") == [fingerprint(public)]


def test_the_fingerprint_of_a_new_key_is_what_ssh_keygen_prints(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a b", "-f", str(path)], check=True)
    said = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], capture_output=True, text=True, check=True).stdout
    (found,) = parse(Path(f"{path}.pub").read_text())
    assert fingerprint(found.blob) == said.split()[1]
    assert found.label == "a b"


@pytest.mark.parametrize("bad", ["AAA", "AAA=A", "A A=", "a-_b", "\u00e9", "AAAA\n"])
def test_bad_base64_has_no_fingerprint(bad: str) -> None:
    with pytest.raises(ValueError):
        fingerprint(bad)


def test_a_file_is_read_whatever_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "authorized_keys"
    path.write_bytes(b"\xff\xfe\n" + f"{ED} {ONE} ".encode() + b"caf\xe9\n")
    assert authorized_keys.load(str(path)) == (entry(label="caf\ufffd", line=2),)
    path.write_text(f"# off\r{ED} {ONE}\n", newline="")
    assert authorized_keys.load(str(path)) == ()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="none cannot be read"):
        authorized_keys.load(str(tmp_path / "none"))
