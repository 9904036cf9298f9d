"""`enc-gateway why` says what a login then gets, and by which rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Gateway, Person, Result, bindir, run


def why(gateway: Gateway, fingerprint: str, *words: str) -> Result:
    settings = ["--config", str(gateway.root / "gateway.toml"), "--json"]
    return run([str(bindir() / "enc-gateway"), "why", *settings, fingerprint, *words])


def steps(result: Result) -> list[dict[str, object]]:
    found = result.json["steps"]
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def owner(gateway: Gateway) -> Person:
    """Somebody with a locked project and one that is damaged."""
    who = gateway.person("owner-of-two", "owner-of-two")
    who.new("myproj")
    who.new("broken")
    (gateway.vaults / "u-owner-of-two" / "broken" / "vault.toml").unlink()
    return who


@pytest.mark.parametrize(
    ("words", "rule", "where"),
    [
        pytest.param(("ls",), "permission", "", id="a plain command"),
        pytest.param(("whoami",), "permission", "", id="another"),
        pytest.param(("lss",), "command", "", id="no command"),
        pytest.param(("ls; id",), "command", "", id="an operator"),
        pytest.param(("ls", "x"), "command", "", id="a word too many"),
        pytest.param(("unmount", "../x"), "command", "", id="no name"),
        pytest.param(("unmount", "none"), "project", r".*/u-owner-of-two/none", id="no project"),
        pytest.param(("unmount", "myproj"), "project", r".*/u-owner-of-two/myproj", id="a locked project"),
        pytest.param(("new", "myproj"), "project", r".*/u-owner-of-two/myproj", id="a name that is taken"),
        pytest.param(("mount", "broken"), "project", r".*/u-owner-of-two/broken", id="a damaged vault"),
        pytest.param(("rsync", "--server", "--daemon", "."), "request", "", id="rsync as a daemon"),
        pytest.param(
            ("run", "myproj", "--", "true"), "project", r".*/u-owner-of-two/myproj", id="a program in a locked project"
        ),
        pytest.param(
            ("run", "--net", "myproj", "--", "true"),
            "permission",
            r".*/gateway\.toml \(run\.network is at its default\)",
            id="what a setting forbids",
        ),
        pytest.param(("git-upload-pack", "x/../y"), "request", "", id="git to nowhere"),
        pytest.param(("scp", "-t", "myproj"), "request", "", id="scp to a locked project"),
    ],
)
def test_the_login_gets_what_why_says(
    gateway: Gateway, owner: Person, words: tuple[str, ...], rule: str, where: str
) -> None:
    told = why(gateway, owner.fingerprint, *words)
    got = owner.ssh(*words)
    assert told.status == told.json["exit"] == got.status
    last = steps(told)[-1]
    assert last["passes"] == (got.status == 0)
    assert last["rule"] == rule and re.fullmatch(where, str(last["where"])), last
    if got.status:
        assert str(last["says"]) in got.err + got.out


def test_the_line_of_the_key_is_named(gateway: Gateway, owner: Person) -> None:
    told = why(gateway, owner.fingerprint, "mount", "myproj")
    assert told.status == 0 and told.json["allowed"]
    blob = Path(f"{owner.key}.pub").read_text().split()[1]
    lines = gateway.authorized_keys.read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if blob in line)
    assert {
        "rule": "key",
        "where": f"{gateway.authorized_keys}:{number}",
        "says": "it is owner-of-two's",
        "passes": True,
    } in steps(told)
    assert why(gateway, owner.fingerprint).status == 0, "the prompt"


def test_it_says_which_way_to_unlock_is_refused_and_which_there_are(make_gateway: Callable[..., Gateway]) -> None:
    settings = {"unlock.kinds": "passphrase,recovery", "unlock.recovery": "required"}
    gateway = make_gateway(**settings)
    who = gateway.person("coder", "coder")
    who.new("coded")
    no_key, ways = "does not allow to add a ssh-key here", "ways to unlock it: passphrase, recovery$"
    for line, says in (
        ("mount coded", ways),
        ("slot add coded recovery", ways),
        ("slot add coded key", no_key),
        ("slot rm coded recovery", "requires a recovery code"),
        ("new keyed --key --recovery", no_key),
        ("recover coded key", no_key),
    ):
        told = why(gateway, who.fingerprint, *line.split())
        last = steps(told)[-1]
        assert re.search(says, str(last["says"])), (line, last)
        if told.status:
            got = who.ssh(line)
            assert got.status == told.status and str(last["says"]) in got.err, (line, got)
        else:
            assert says == ways, line


def test_it_does_and_records_nothing(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("nobody-yet", "nobody-yet")
    for words in (("new", "x"), ("mount", "x"), ("session",), ("ls",), ("help",)):
        why(gateway, who.fingerprint, *words)
    assert not gateway.audit() and not list(gateway.vaults.iterdir()) and not list((gateway.root / "run").iterdir())


def test_what_sshd_would_refuse_is_said(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("someone")
    file, line = gateway.authorized_keys, gateway.authorized_keys.read_text()
    for options, said in (
        ('expiry-time="20200101"', "expired"),
        ("cert-authority", "certificates"),
        ('environment="ENC_USER=a/b"', "ENC_USER"),
        ('environment="ENC_USER=invite:dev1"', "invitation"),
    ):
        file.write_text(f"# first\n{options} {line}")
        told = why(gateway, who.fingerprint, "ls")
        assert told.status in (255, 75, 126), told
        assert told.status == who.ssh("ls").status
        assert said in str(steps(told)[-1]["says"])
        if told.status != 126:
            assert steps(told)[-1]["where"] == f"{file}:2"
    file.write_text(f'expiry-time="20200101",environment="ENC_USER=before" {line}{line}')
    assert why(gateway, who.fingerprint, "whoami").status == who.ssh("whoami").status == 0, "sshd takes the next line"
    file.write_text("")
    assert "no line has this key" in why(gateway, who.fingerprint, "ls").out
    (gateway.root / "gateway.toml").write_text("nonsense\n")
    broken = run(
        [str(bindir() / "enc-gateway"), "why", "--config", str(gateway.root / "gateway.toml"), who.fingerprint]
    )
    assert broken.status == 75 and "line 1" in broken.err + broken.out


FROM = ["127.0.0.2", "127.0.0.1/8", "127.*", "*,!127.0.0.0/30", "!127.0.0.2", "127.0.0.2,", "127.2", "[127.0.0.2]"]


@pytest.mark.parametrize("patterns", FROM)
def test_from_is_judged_as_sshd_judges_it(gateway: Gateway, patterns: str) -> None:
    name = f"from-{FROM.index(patterns)}"
    who = gateway.person(name, name)
    blob = Path(f"{who.key}.pub").read_text().split()[1]
    with gateway.authorized_keys.open("r+") as file:
        lines = [f'from="{patterns}",{line}' if blob in line else line for line in file]
        file.seek(0)
        file.writelines(lines)
    for origin in ("127.0.0.1", "127.0.0.2"):
        told = why(gateway, "--from", origin, who.fingerprint, "whoami")
        got = who.ssh("whoami", extra=("-o", f"BindAddress={origin}"))
        assert told.status == got.status, (origin, told, got)
        if got.status:
            number = next(number for number, line in enumerate(lines, 1) if blob in line)
            last = steps(told)[-1]
            assert last["where"] == f"{gateway.authorized_keys}:{number}" and "from=" in str(last["says"])
    assert why(gateway, "--from", "nowhere", who.fingerprint).status == 64
