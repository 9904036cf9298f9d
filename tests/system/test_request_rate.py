"""Requests in a minute: what is beyond the limit is refused, and fills neither the audit nor its disk."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.limits import rates
from tests.harness import PASSPHRASE, PROMPT, Gateway, Person, Terminal, admin, eventually
from tests.life import connection

LIMIT = 30
SAID = re.compile(rf"enc: you made {LIMIT} requests within a minute, which is the limit; wait \d+ s\r?\n")


@pytest.fixture(scope="module")
def strict(ground: Path) -> Iterator[Gateway]:
    """A gateway with LIMIT requests a minute."""
    gateway = Gateway(ground / "gw", {"limits.requests": str(LIMIT), "idle.session": "3600"})
    gateway.start()
    yield gateway
    gateway.stop()


def a_minute_later(gateway: Gateway) -> None:
    """Make the counts of all principals a minute older."""
    for path in (gateway.root / "run").glob("rates*/*"):
        words = path.read_bytes().split(b" ", 2)
        words[1] = b"%010d" % max(0, int(words[1]) - rates.WINDOW_SECONDS)
        with path.open("r+b") as file:
            file.write(b" ".join(words))


def own(gateway: Gateway, who: Person, event: str, **fields: object) -> list[dict[str, object]]:
    return gateway.events(event, principal=who.fingerprint, **fields)


def typed(terminal: Terminal, *lines: str) -> str:
    """What is shown for these lines, which are typed one after the other."""
    shown = ""
    for line in lines:
        terminal.send(line + "\n")
        shown += terminal.expect(PROMPT)
    return shown


def test_a_prompt_is_refused_beyond_the_limit_and_writes_no_more(strict: Gateway) -> None:
    person = strict.person("prompt")
    person.new("p")
    terminal = person.terminal()
    terminal.expect(PROMPT)
    terminal.send("mount p\n")
    terminal.expect("Passphrase of p: ")
    terminal.send(PASSPHRASE + "\n")
    terminal.expect(PROMPT)
    shown = typed(terminal, *["help x"] * 150)
    assert len(SAID.findall(shown)) == 150 - (LIMIT - 3)
    assert len(own(strict, person, "request", reason="busy")) == 1
    assert len(own(strict, person, "request")) == LIMIT + 1
    assert len(own(strict, person, "result", status=75)) == 1

    a_minute_later(strict)
    typed(terminal, "help")
    (told,) = own(strict, person, "throttled")
    assert (told["refused"], told["passed"]) == (150 - (LIMIT - 3), 0)

    typed(terminal, *["help x"] * 40)
    beyond = typed(terminal, *["status"] * (rates.RECORDED_BEYOND + 50))
    assert beyond.count("LOCKS IN") == rates.RECORDED_BEYOND + 50
    assert len(own(strict, person, "request", verb="status")) == rates.RECORDED_BEYOND
    assert len(own(strict, person, "result", status=0)) < 2 * LIMIT + rates.RECORDED_BEYOND
    assert "locked p" in typed(terminal, "unmount p")
    assert own(strict, person, "locked", project="p", reason="unmount")
    assert SAID.search(typed(terminal, "ls"))
    terminal.send("exit\n")
    terminal.wait()
    eventually(lambda: not strict.leftovers())

    a_minute_later(strict)
    assert admin(strict, "sweep").status == 0
    assert own(strict, person, "throttled")[1:][0]["passed"] == 50 + 1
    assert len(own(strict, person, "throttled")) == 2
    unrecorded = sum(int(str(one["refused"])) - 1 + int(str(one["passed"])) for one in strict.events("throttled"))
    assert f"enc_throttled_total {unrecorded}\n" in admin(strict, "metrics").out


def test_channels_of_one_connection_are_refused_beyond_the_limit(strict: Gateway) -> None:
    person = strict.person("channels")
    person.new("p")
    with person.mounted("p"), connection(person) as shared:
        results = [person.ssh("whoami", extra=shared) for _ in range(LIMIT + 6)]
        refused = [each for each in results if each.status == 75]
        assert len(refused) == 6 + 2 and all(SAID.fullmatch(each.err) for each in refused)
        assert person.sftp("ls p", extra=shared).status != 0
        refused_json = person.ssh("ls", "--json", extra=shared)
        assert (refused_json.status, refused_json.json["error"]) == (75, "busy")
        assert person.ssh("nonsense", extra=shared).status == 75, "a line that is no command counts as well"
        assert len(own(strict, person, "request", reason="busy")) == 1
        assert person.ssh("status", extra=shared).status == 0
        assert person.ssh("unmount", "p", extra=shared).status == 0
        assert person.ssh("logout", "--all", extra=shared).status == 0
    assert [one["verb"] for one in own(strict, person, "request")[-3:]] == ["status", "unmount", "logout"]
    assert strict.person("channels-other").ssh("whoami").status == 0


def test_a_key_that_was_revoked_writes_no_more_either_and_costs_its_principal_nothing(strict: Gateway) -> None:
    revoked, kept = strict.person("revoked", "shared"), strict.person("kept", "shared")
    with connection(revoked) as shared:
        assert revoked.ssh("whoami", extra=shared).status == 0
        lines = strict.authorized_keys.read_text().splitlines(keepends=True)
        strict.authorized_keys.write_text("".join(line for line in lines if not line.endswith(" revoked@test\n")))
        statuses = [revoked.ssh("whoami", extra=shared).status for _ in range(LIMIT + 6)]
    assert statuses == [77] * LIMIT + [75] * 6
    of_key = strict.events("request", fingerprint=revoked.fingerprint, decision="deny")
    assert [one["reason"] for one in of_key] == ["denied"] * LIMIT + ["busy"]
    assert kept.ssh("whoami").status == 0
    a_minute_later(strict)
    assert admin(strict, "sweep").status == 0
    (told,) = strict.events("throttled", principal="shared")
    assert (told["refused"], told["callers"]) == (6, "unlisted")


def test_an_invitation_writes_no_more_either(strict: Gateway, tmp_path: Path) -> None:
    made = admin(strict, "key", "invite", "guest", "--as-key", "--json")
    assert made.status == 0, made
    key = tmp_path / "invitation"
    key.write_text(str(made.json["private_key"]))
    key.chmod(0o600)
    words = ["ssh", "-F", str(strict.ssh_config), "-i", str(key), "gateway", "ls"]
    statuses = [subprocess.run(words, capture_output=True, check=False).returncode for _ in range(LIMIT + 4)]
    assert statuses == [126] * LIMIT + [75] * 4
    assert len(strict.events("request", principal="guest")) == LIMIT + 1
