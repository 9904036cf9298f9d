"""Who calls: what sshd's environment makes of a caller, and when the caller's line no longer stands for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Denied, EncError, Misconfigured
from gateway.identity import authentication, authorized_keys
from gateway.identity.authentication import Identity
from gateway.identity.authorized_keys import Entry
from gateway.identity.names import Principal

ED = "ssh-ed25519"
ONE = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
TWO = ONE.replace("EB", "IC")
PRINT = authorized_keys.fingerprint(ONE)
CONNECTION = "192.0.2.7 50022 198.51.100.1 22"


def environment(tmp_path: Path, auth: str | bytes = f"publickey {ED} {ONE}\n", **more: str) -> dict[str, str]:
    path = tmp_path / "auth"
    path.write_bytes(auth.encode() if isinstance(auth, str) else auth)
    return {"SSH_USER_AUTH": str(path), "SSH_CONNECTION": CONNECTION, **more}


def test_without_a_principal_the_fingerprint_is_one(tmp_path: Path) -> None:
    assert authentication.of_environment(environment(tmp_path)) == Identity(
        principal=Principal(PRINT),
        fingerprint=PRINT,
        key_type=ED,
        blob=ONE,
        address="192.0.2.7",
        port=50022,
        connection=CONNECTION,
    )


def test_enc_user_names_the_principal(tmp_path: Path) -> None:
    caller = authentication.of_environment(environment(tmp_path, ENC_USER="dev1"))
    assert (caller.principal, caller.fingerprint) == ("dev1", PRINT)


def test_an_empty_enc_user_names_nobody(tmp_path: Path) -> None:
    assert authentication.of_environment(environment(tmp_path, ENC_USER="")).principal == PRINT


def test_an_ipv6_address_is_taken_as_it_stands(tmp_path: Path) -> None:
    caller = authentication.of_environment(environment(tmp_path, SSH_CONNECTION="2001:db8::7%eth0 50022 ::1 22"))
    assert (caller.address, caller.port) == ("2001:db8::7%eth0", 50022)


def test_nothing_else_of_the_environment_counts(tmp_path: Path) -> None:
    more = {"SSH_CLIENT": "x", "USER": "root", "SSH_ORIGINAL_COMMAND": "ls", "ENC_CONFIG": "/x", "LOGNAME": "root"}
    assert authentication.of_environment(environment(tmp_path, **more)) == authentication.of_environment(
        environment(tmp_path)
    )


def test_the_audit_gets_no_key_material(tmp_path: Path) -> None:
    fields = authentication.of_environment(environment(tmp_path)).as_fields()
    assert set(fields) == {"principal", "fingerprint", "key_type", "address", "port"}
    assert ONE not in fields.values()


AUTH = {
    "no key": "",
    "a password": "password\n",
    "a key without its blob": f"publickey {ED}\n",
    "a word too many": f"publickey {ED} {ONE} x\n",
    "two keys": f"publickey {ED} {ONE}\npublickey {ED} {TWO}\n",
    "another method's name": f"hostbased {ED} {ONE}\n",
    "a key that is no base64": f"publickey {ED} ====\n",
    "not ASCII": b"publickey ssh-ed25519 \xff\n",
}


@pytest.mark.parametrize("auth", AUTH.values(), ids=AUTH)
def test_refuses_an_authentication_by_anything_but_one_key(tmp_path: Path, auth: str | bytes) -> None:
    with pytest.raises(Misconfigured, match=r"^sshd did not"):
        authentication.of_environment(environment(tmp_path, auth))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"SSH_USER_AUTH": ""}, "which key", id="no ExposeAuthInfo"),
        pytest.param({"SSH_USER_AUTH": "/nonexistent/auth"}, "which key", id="the file is gone"),
        pytest.param({"SSH_USER_AUTH": "/"}, "which key", id="a directory"),
        pytest.param({"SSH_CONNECTION": ""}, "report the address", id="no connection"),
        pytest.param({"SSH_CONNECTION": "192.0.2.7 50022"}, "report the address", id="half a connection"),
        pytest.param({"SSH_CONNECTION": "UNKNOWN UNKNOWN UNKNOWN UNKNOWN"}, "report the address", id="no port"),
        pytest.param({"SSH_CONNECTION": "192.0.2.7 -1 198.51.100.1 22"}, "report the address", id="a negative port"),
        pytest.param(
            {"SSH_CONNECTION": "192.0.2.7 \u00b2 198.51.100.1 22"}, "report the address", id="a superscript port"
        ),
        pytest.param({"SSH_CONNECTION": CONNECTION + " x"}, "report the address", id="a word too many"),
        pytest.param({"ENC_USER": ".."}, "ENC_USER", id="a principal that climbs"),
        pytest.param({"ENC_USER": "a/b"}, "ENC_USER", id="a principal with a slash"),
        pytest.param({"ENC_USER": PRINT}, "ENC_USER", id="a principal that is somebody's fingerprint"),
        pytest.param({"ENC_USER": "x" * 64}, "ENC_USER", id="a principal that is too long"),
        pytest.param({"ENC_USER": "a\x1b[2J"}, "ENC_USER", id="a principal with an escape sequence"),
    ],
)
def test_refuses_an_environment_that_sshd_would_not_make(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        authentication.of_environment({**environment(tmp_path), **changes})
    assert caught.value.line().isprintable()
    assert not any(value in caught.value.line() for value in changes.values() if value not in ("", "/"))


def test_refuses_an_environment_without_anything() -> None:
    with pytest.raises(EncError):
        authentication.of_environment({})


def listed(blob: str = ONE, principal: str = "", line: int = 1) -> Entry:
    return Entry(key_type=ED, blob=blob, principal=principal, label=f"line {line}", line=line)


@pytest.mark.parametrize(
    ("named", "entries", "line"),
    [
        pytest.param("", [listed()], 1, id="a bare line"),
        pytest.param("dev1", [listed(principal="dev1")], 1, id="a line with the principal"),
        pytest.param("", [listed(TWO), listed(line=2)], 2, id="behind another key's"),
        pytest.param("dev1", [listed(), listed(principal="dev1", line=2)], 2, id="the same key as itself, too"),
    ],
)
def test_finds_the_line_of_the_caller(tmp_path: Path, named: str, entries: list[Entry], line: int) -> None:
    caller = authentication.of_environment(environment(tmp_path, ENC_USER=named))
    assert isinstance(caller, authentication.Identity)
    assert authentication.require_listed(caller, tuple(entries)).line == line


@pytest.mark.parametrize(
    ("named", "entries"),
    [
        pytest.param("", [], id="no lines"),
        pytest.param("", [listed(TWO)], id="another key's line only"),
        pytest.param("dev1", [listed(TWO, "dev1")], id="another key of the same principal"),
        pytest.param("dev1", [listed()], id="the principal was taken away"),
        pytest.param("", [listed(principal="dev1")], id="a principal was given"),
        pytest.param("dev1", [listed(principal="dev2")], id="the principal was changed"),
        pytest.param("dev1", [listed(principal="DEV1")], id="the principal is written otherwise"),
        pytest.param("", [listed(ONE[:-4])], id="a shorter key"),
        pytest.param("", [listed(ONE.swapcase())], id="a key that differs in capitals"),
    ],
)
def test_a_caller_whose_line_is_gone_or_changed_is_refused(tmp_path: Path, named: str, entries: list[Entry]) -> None:
    caller = authentication.of_environment(environment(tmp_path, ENC_USER=named))
    assert isinstance(caller, authentication.Identity)
    with pytest.raises(Denied) as caught:
        authentication.require_listed(caller, tuple(entries))
    assert caught.value.code == 77
