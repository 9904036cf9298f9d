"""From an SSH key to the secret of a slot: against RFC 5869, RFC 8032, ssh-keygen, OpenSSH's agent and gocryptfs."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import EncError, Misconfigured, Usage
from gateway.identity.names import SlotName
from gateway.vault import realm
from gateway.vault.slots import challenge, hkdf, recovery_code, sshsig
from gateway.vault.slots.stored import Kind, Slot
from tests import agent

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[1] / "vectors" / "unlock.json").read_text()
)
EACH = pytest.mark.parametrize("vector", VECTORS, ids=[str(vector["name"]) for vector in VECTORS])

RFC_5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ),
    ("0b" * 22, "", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    (
        "".join(f"{number:02x}" for number in range(0x50)),
        "".join(f"{number:02x}" for number in range(0x60, 0xB0)),
        "".join(f"{number:02x}" for number in range(0xB0, 0x100)),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
    ),
]


@pytest.mark.parametrize(("secret", "salt", "info", "expected"), RFC_5869)
def test_hkdf_is_that_of_rfc_5869(secret: str, salt: str, info: str, expected: str) -> None:
    derived = hkdf.derive(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info))
    assert derived.hex() == expected


def slot_of(vector: dict[str, Any]) -> tuple[Slot, str]:
    """The slot of a vector, and the id of its vault."""
    asked = challenge.parse(vector["challenge"].encode().removesuffix(b"\n").split(b"\n"))
    made = Slot(name=SlotName("key"), kind=Kind.SSH_KEY, label="", created="", fingerprint="")
    about = {"id": asked.slot, "salt": asked.salt, "realm": asked.realm, "public_key": vector["public_key"]}
    return made.replace(**about), asked.vault


@EACH
def test_a_vector_is_what_we_compute(vector: dict[str, Any]) -> None:
    slot, vault = slot_of(vector)
    asked = challenge.of(slot, vault)
    assert asked.text == vector["challenge"]
    assert realm.namespace(asked.realm) == vector["namespace"]
    message = agent.signed_data(asked.text.encode(), vector["namespace"])
    assert agent.sign(bytes.fromhex(vector["seed"]), message).hex() == vector["signature"]
    secret = challenge.secret(asked, bytes.fromhex(vector["signature"]), vector["public_key"])
    assert secret.decode() == vector["secret"]


def sign(vector: dict[str, Any], key: Path, socket: str = "") -> sshsig.Signature:
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", vector["namespace"], "-f", str(key)]
    environment = {**os.environ, "SSH_AUTH_SOCK": socket}
    done = subprocess.run(words, input=vector["challenge"].encode(), capture_output=True, check=True, env=environment)
    return sshsig.parse(done.stdout)


@pytest.fixture
def key(vector: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(agent.private_file(bytes.fromhex(vector["seed"])))
    path.with_name("key.pub").write_text(f"ssh-ed25519 {vector['public_key']} test\n")
    return path


@contextlib.contextmanager
def openssh_agent(path: Path) -> Iterator[str]:
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert process.poll() is None
        yield str(path)
    finally:
        process.terminate()
        process.wait(10)


@EACH
def test_a_vector_is_what_ssh_keygen_signs_from_a_file_and_from_an_agent(
    vector: dict[str, Any], key: Path, tmp_path: Path
) -> None:
    from_file = sign(vector, key)
    with openssh_agent(tmp_path / "agent") as socket:
        subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": socket}, check=True)
        key.unlink()
        from_agent = sign(vector, key.with_name("key.pub"), socket)
    assert from_file.raw.hex() == from_agent.raw.hex() == vector["signature"]
    assert from_file.public_key == vector["public_key"]
    assert sshsig.is_of(from_file, vector["challenge"].encode(), vector["namespace"])
    assert not sshsig.is_of(from_file, vector["challenge"].encode() + b"\n", vector["namespace"])
    assert not sshsig.is_of(from_file, vector["challenge"].encode(), vector["namespace"] + "0")


@EACH
def test_a_vector_s_secret_opens_its_config(vector: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cipher").mkdir()
    config = tmp_path / "key.conf"
    config.write_text(json.dumps(vector["config"]))
    words = [
        "gocryptfs",
        "-passwd",
        "-q",
        "-nosyslog",
        "-scryptn",
        "10",
        "-config",
        str(config),
        str(tmp_path / "cipher"),
    ]
    wrong = subprocess.run(words, input=b"wrong\nwrong\n", capture_output=True, check=False)
    right = subprocess.run(words, input=f"{vector['secret']}\nx\n".encode(), capture_output=True, check=False)
    assert (wrong.returncode, right.returncode) == (12, 0)


def test_two_random_signatures_are_both_valid_and_give_two_secrets(tmp_path: Path) -> None:
    """So what an unlock needs is not that the signature is valid alone."""
    vector = VECTORS[0]
    seed, message = bytes.fromhex(vector["seed"]), agent.signed_data(vector["challenge"].encode(), vector["namespace"])
    made = [armoured(vector, agent.sign(seed, message, os.urandom(8))) for _ in range(2)]
    read = [sshsig.parse(each) for each in made]
    assert all(sshsig.is_of(each, vector["challenge"].encode(), vector["namespace"]) for each in read)
    slot, vault = slot_of(vector)
    secrets = {challenge.secret(challenge.of(slot, vault), each.raw, each.public_key) for each in read}
    assert len({*secrets, vector["secret"].encode()}) == 3


# signatures from strangers


def armour(content: bytes) -> bytes:
    text = base64.b64encode(content)
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return b"\n".join((sshsig.BEGIN, *lines, sshsig.END, b""))


def parts(vector: dict[str, Any], raw: bytes) -> list[bytes]:
    """Public key, namespace, reserved, hash, signature."""
    public = base64.b64decode(vector["public_key"])
    signature = agent.string(b"ssh-ed25519") + agent.string(raw)
    return [public, vector["namespace"].encode(), b"", b"sha512", signature]


def armoured(vector: dict[str, Any], raw: bytes, **changes: bytes) -> bytes:
    fields = parts(vector, raw)
    for at, name in enumerate(("public", "namespace", "reserved", "hashed", "signature")):
        fields[at] = changes.get(name, fields[at])
    return armour(b"SSHSIG\0\0\0\1" + b"".join(map(agent.string, fields)) + changes.get("more", b""))


RAW = bytes.fromhex(VECTORS[0]["signature"])
S = agent.string


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * 3000, id="no armour"),
        pytest.param(sshsig.BEGIN + b"\n" + sshsig.END, id="empty"),
        pytest.param(armoured(VECTORS[0], RAW)[:-30], id="no end"),
        pytest.param(armoured(VECTORS[0], RAW).replace(b"U1NI", b"!!!!"), id="no base64"),
        pytest.param(armoured(VECTORS[0], RAW) + b"more\n", id="more lines"),
        pytest.param(armoured(VECTORS[0], RAW, more=b"x"), id="more bytes"),
        pytest.param(armoured(VECTORS[0], RAW, more=S(b"x")), id="more fields"),
        pytest.param(armoured(VECTORS[0], RAW, reserved=b"x"), id="what is reserved is used"),
        pytest.param(armoured(VECTORS[0], RAW, hashed=b"md5"), id="another hash"),
        pytest.param(armoured(VECTORS[0], RAW[:-1]), id="a short signature"),
        pytest.param(armoured(VECTORS[0], RAW + b"\0"), id="a long signature"),
        pytest.param(armoured(VECTORS[0], RAW, signature=S(b"ssh-rsa") + S(RAW)), id="a signature of another type"),
        pytest.param(armoured(VECTORS[0], RAW, signature=b""), id="no signature"),
        pytest.param(armoured(VECTORS[0], RAW, public=S(b"ssh-ed25519")), id="no key"),
        pytest.param(armoured(VECTORS[0], RAW, public=S(b"ssh-ed25519") + S(b"x" * 33)), id="a long key"),
        pytest.param(armoured(VECTORS[0], RAW, public=S(b"ssh-ed25519") + b"\xff\xff\xff\xff"), id="a huge key"),
        pytest.param(armoured(VECTORS[0], RAW, public=S(b"ssh-dss") + S(b"x")), id="a type of long ago"),
        pytest.param(armour(b"SSHSIG\0\0\0\2" + b"".join(map(S, parts(VECTORS[0], RAW)))), id="a later version"),
        pytest.param(armour(b"SSHSIG\0\0\0\1" + b"\xff" * 200), id="huge lengths"),
        pytest.param(b"\n".join((sshsig.BEGIN, *[b"AAAA"] * 100, sshsig.END)), id="many lines"),
    ],
)
def test_what_is_no_signature_of_an_ed25519_key_is_refused(content: bytes) -> None:
    with pytest.raises(Usage) as caught:
        sshsig.parse(content)
    assert caught.value.line().isprintable()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (b"sk-ssh-ed25519@openssh.com", "counts its signatures"),
        (b"ecdsa-sha2-nistp256", "random part"),
        (b"sk-ecdsa-sha2-nistp256@openssh.com", "counts its signatures"),
        (b"ssh-rsa", "more than one way"),
    ],
)
def test_other_keys_are_refused_with_the_reason_and_the_other_ways(kind: bytes, words: str) -> None:
    content = armoured(VECTORS[0], RAW, public=S(kind) + S(b"x" * 32) + S(b"ssh:"))
    with pytest.raises(Usage, match=words) as caught:
        sshsig.parse(content)
    assert "passphrase" in caught.value.hint


@given(st.binary(max_size=400))
def test_whatever_is_armoured_it_is_a_signature_or_refused(content: bytes) -> None:
    for text in (armour(content), content, armour(b"SSHSIG\0\0\0\1" + content)):
        try:
            sshsig.parse(text)
        except EncError as error:
            assert isinstance(error, Usage)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("change", [lambda line: line[:-1], lambda line: line.replace(" ", "  "), lambda _line: ""])
def test_a_challenge_of_which_one_line_is_changed_is_refused(at: int, change: Callable[[str], str]) -> None:
    lines = str(VECTORS[0]["challenge"]).splitlines()
    lines[at] = change(lines[at]) if at or change(lines[at]) != lines[at] else "enc-unlock-2"
    with pytest.raises(Usage, match="not a challenge"):
        challenge.parse([line.encode() for line in lines])


@given(st.lists(st.binary(max_size=80), max_size=7))
def test_whatever_is_sent_as_a_challenge_it_is_one_or_refused(lines: list[bytes]) -> None:
    with contextlib.suppress(Usage):
        assert challenge.parse(lines).text.encode().splitlines() == lines


# recovery codes


def test_a_code_has_256_bits_and_is_read_as_it_was_printed() -> None:
    made = {recovery_code.new() for _ in range(200)}
    assert len(made) == 200
    assert all(recovery_code.canonical(code.encode()) == code and len(code) == 69 for code in made)
    firsts = {code[0] for code in made}
    assert firsts == {"0", "1"}, "256 bits in 52 digits of 5"


@settings(max_examples=300)
@given(st.data())
def test_one_character_that_is_wrong_or_two_that_are_exchanged_are_found(data: st.DataObject) -> None:
    code = "16NH-ZXQ5-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000"
    plain = code.replace("-", "")
    digits = plain + recovery_code._checksum(plain)
    at = data.draw(st.integers(0, 55))
    other = data.draw(st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ").filter(lambda char: char != digits[at]))
    changed = [digits[:at] + other + digits[at + 1 :]]
    if at < 55 and digits[at] != digits[at + 1]:
        changed.append(digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :])
    assert recovery_code.canonical(digits.encode())
    for typed in changed:
        with pytest.raises(Usage, match="mistyped"):
            recovery_code.canonical(typed.encode())


@given(st.binary(max_size=300))
def test_whatever_is_typed_it_is_a_code_or_refused_without_repeating_it(typed: bytes) -> None:
    assert not recovery_code.looks_like_one(typed)
    with pytest.raises(Usage) as caught:
        recovery_code.canonical(typed)
    assert caught.value.line().isprintable()


# the realm


def test_a_realm_is_made_once_also_by_many_at_once(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
        "from gateway.vault import realm; print(realm.of(sys.argv[1]))"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    said = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(said) == 1 and realm.is_realm(said.pop())
    assert os.listdir(tmp_path) == [realm.FILE]


@pytest.mark.parametrize("content", [b"", b"x" * 32, b"0" * 31, b"0" * 33, b"0" * 1000, b"\xff" * 32])
def test_a_realm_that_is_none_is_said_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / realm.FILE).write_bytes(content)
    with pytest.raises(Misconfigured, match="realm"):
        realm.of(str(tmp_path))
    assert (tmp_path / realm.FILE).read_bytes() == content
    assert realm.peek(str(tmp_path)) == ""
