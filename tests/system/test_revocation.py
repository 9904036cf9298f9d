"""Taking a key away ends what it opened, however the file is edited, and nothing else; ending sessions by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Gateway, Held, Person, Result, bindir, eventually, run
from tests.life import session, unlock

PROMISED = 4.0
"""Seconds; 2 are promised, the rest is the machine's."""


def without(file: Path, who: Person) -> str:
    blob = Path(f"{who.key}.pub").read_text().split()[1]
    return "".join(line for line in file.read_text().splitlines(keepends=True) if blob not in line)


def written_in_place(file: Path, who: Person) -> None:
    file.write_text(without(file, who))


def renamed_over(file: Path, who: Person) -> None:
    draft = file.with_name("authorized_keys.tmp")
    draft.write_text(without(file, who))
    draft.chmod(0o644)
    draft.rename(file)


def edited_by_sed(file: Path, who: Person) -> None:
    blob = Path(f"{who.key}.pub").read_text().split()[1].replace("/", "\\/")
    subprocess.run(["sed", "-i", f"/{blob}/d", str(file)], check=True)
    file.chmod(0o644)


def replaced(file: Path, who: Person) -> None:
    text = without(file, who)
    file.unlink()
    file.write_text(text)
    file.chmod(0o644)


def deleted(file: Path, who: Person) -> None:
    file.unlink()


def revoked_within(held: Held, began: float) -> None:
    assert held.wait(PROMISED).status == 75
    assert time.monotonic() - began < PROMISED
    assert "no longer authorized" in held.said


@pytest.mark.parametrize("edit", [written_in_place, renamed_over, edited_by_sed, replaced])
def test_removing_a_key_ends_its_sessions_and_no_others(
    make_gateway: Callable[..., Gateway], edit: Callable[[Path, Person], None]
) -> None:
    gateway = make_gateway()
    leaver, colleague = gateway.person("leaver", "team"), gateway.person("colleague", "team")
    leaver.new("one")
    leaver.new("two")
    leaver.new("three")
    with leaver.mounted("one") as first, leaver.mounted("two") as second, colleague.mounted("three") as other:
        began = time.monotonic()
        edit(gateway.authorized_keys, leaver)
        revoked_within(first, began)
        revoked_within(second, began)
        assert {record["project"] for record in gateway.events("locked", reason="revoked")} == {"one", "two"}
        assert leaver.ssh("ls").status == 255, "sshd lets it in no more"
        assert other.process.poll() is None
        assert "three" in colleague.ssh("status").out
        assert colleague.sftp("ls three").status == 0


def test_without_the_file_no_session_stays(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("someone")
    who.new("work")
    with who.mounted("work") as held:
        began = time.monotonic()
        deleted(gateway.authorized_keys, who)
        revoked_within(held, began)


def test_editing_the_file_without_removing_the_line_ends_nothing(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("someone")
    who.new("work")
    file = gateway.authorized_keys
    with who.mounted("work") as held:
        os.utime(file)
        file.write_text("# a comment\n" + file.read_text())
        shutil.copy(file, file.with_name("copy"))
        file.with_name("copy").chmod(0o644)
        file.with_name("copy").rename(file)
        gateway.person("newcomer")
        time.sleep(1.5)  # longer than it takes to end a session
        assert held.process.poll() is None and not gateway.events("locked")


def test_a_key_that_becomes_another_principal_s_loses_its_sessions(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("someone", "red")
    who.new("work")
    with who.mounted("work") as held:
        began = time.monotonic()
        gateway.authorized_keys.write_text(gateway.authorized_keys.read_text().replace("ENC_USER=red", "ENC_USER=blue"))
        revoked_within(held, began)


def test_a_wait_after_wrong_passphrases_ends_with_the_key(make_gateway: Callable[..., Gateway]) -> None:
    """And so does a wait for the attempt of another key of the principal."""
    gateway = make_gateway()
    who, other = gateway.person("someone", "team"), gateway.person("other", "team")
    who.new("work")
    who.new("more")
    for _ in range(5):
        assert who.ssh("mount", "work", stdin="a wrong one\n").status == 77
    keys = gateway.authorized_keys.read_text()
    for command in ("mount", "fsck"):
        gateway.authorized_keys.write_text(keys)
        for_time, for_turn = other.terminal(command, "work"), who.terminal(command, "more")
        try:
            for terminal, project in ((for_time, "work"), (for_turn, "more")):
                terminal.expect(f"Passphrase of {project}: ")
            for_time.send("a wrong one\n")
            for_time.expect("waiting")
            for_turn.send("a wrong one\n")
            began = time.monotonic()
            gateway.authorized_keys.write_text("")
            for terminal in (for_turn, for_time):
                assert terminal.wait(PROMISED) == 77, terminal.seen
                assert "enc: wrong passphrase" not in terminal.seen
            assert time.monotonic() - began < PROMISED
        finally:
            for_time.close()
            for_turn.close()


def test_a_revoked_key_cannot_go_on_at_an_open_prompt(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = gateway.person("someone", "team")
    who.new("work")
    terminal = who.terminal()
    try:
        terminal.expect("enc> ")
        written_in_place(gateway.authorized_keys, who)
        terminal.send("rm work\r")
        assert terminal.wait() != 0
        assert list(gateway.vaults.glob("*/work")), "it was carried out for a key that is no longer there"
    finally:
        terminal.close()


# By hand


def admin(gateway: Gateway, *words: str) -> Result:
    settings = ["--config", str(gateway.root / "gateway.toml")]
    return run([str(bindir() / "enc-gateway"), words[0], *settings, *words[1:]])


def test_the_sysadmin_lists_and_ends_sessions(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    red, blue = gateway.person("red", "red"), gateway.person("blue", "blue")
    for who in (red, blue):
        for project in ("one", "two"):
            who.new(project)
    with red.mounted("one") as first, red.mounted("two") as second, session(blue) as (third, shared):
        unlock(blue, "one", shared)
        listed = json.loads(admin(gateway, "sessions", "--json").out)["sessions"]
        assert len(listed) == 3
        ids = {one["principal"] + one["views"][0]["project"]: one["id"] for one in listed}
        ended = admin(gateway, "sessions", "kill", ids["redone"])
        assert ended.status == 0 and ids["redone"] in ended.out
        assert gateway.events("locked", project="one", principal="red", reason="killed")
        assert first.wait().status == 75 and "your sysadmin ended the session" in first.said
        assert second.process.poll() is None and third.process.poll() is None
        assert admin(gateway, "sessions", "kill", "--principal", "red").status == 0
        assert second.wait().status == 75 and third.process.poll() is None
        assert admin(gateway, "sessions", "kill", "--all").status == 0
        assert third.wait().status == 75
    assert admin(gateway, "sessions", "--json").json == {"sessions": []}
    assert admin(gateway, "sessions", "kill", ids["redone"]).status == 69
    assert admin(gateway, "sessions", "kill").status == 64
    eventually(lambda: not gateway.leftovers())
