"""Whoever acts in a session acts by a key of its own, and ends with that key's line, whoever opened the session."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PASSPHRASE, PROMPT, Gateway, Held, Person, Terminal, admin, eventually
from tests.life import sessions_in_status
from tests.system.test_revocation import PROMISED, renamed_over, revoked_within, without, written_in_place

STUBBORN = "trap '' TERM; while :; do cat secret; sleep 0.2; done"
"""Prints plaintext for ever, and does not care about SIGTERM."""


def hold_script(who: Person, script: str) -> Held:
    return who.hold("run", "work", "--", "sh", "-c", shlex.quote(script))


def opened(gateway: Gateway, name: str = "opener") -> Person:
    """Somebody with a project that has a secret in it."""
    who = gateway.person(name, "team")
    who.new("work")
    with who.mounted("work"):
        assert who.ssh("run", "work", "--", "tee", "secret", stdin="plaintext\n").status == 0
    return who


def ended_with(terminal: Terminal, began: float) -> None:
    assert terminal.wait(PROMISED) == 77, terminal.seen
    assert time.monotonic() - began < PROMISED
    assert "your key is no longer authorized" in terminal.seen


def test_all_that_a_second_key_does_in_a_session_ends_with_its_line(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    opener, second = opened(gateway), gateway.person("second", "team")
    with opener.mounted("work") as held:
        mine, theirs = hold_script(opener, STUBBORN), hold_script(second, STUBBORN)
        terminals = {name: second.terminal(*words) for name, words in (("prompt", ()), ("shell", ("shell", "work")))}
        question = second.terminal("new", "another")
        sftp = second.sftp_terminal()
        try:
            mine.read_until("plaintext")
            theirs.read_until("plaintext")
            terminals["prompt"].expect(PROMPT)
            terminals["shell"].expect("$ ")
            question.expect("New passphrase")
            (shown,) = sessions_in_status(opener)
            attached = shown["attached"]
            assert isinstance(attached, list)
            keys = {(one["program"], one["fingerprint"]) for one in attached}
            theirs_are = {(name, second.fingerprint) for name in ("run", "shell", "sftp-server")}
            assert keys == theirs_are | {("run", opener.fingerprint)}
            assert f"key {second.fingerprint}" in opener.ssh("status").out

            began = time.monotonic()
            renamed_over(gateway.authorized_keys, second)
            result = theirs.wait(PROMISED)
            assert (result.status, time.monotonic() - began < PROMISED) == (77, True)
            assert "your key is no longer authorized" in result.err
            for terminal in (*terminals.values(), question):
                ended_with(terminal, began)
            sftp.expect("Connection closed", PROMISED)
            assert time.monotonic() - began < PROMISED
            records = gateway.events("program-ended", fingerprint=second.fingerprint, reason="revoked")
            assert sorted(str(one["program"]) for one in records) == ["run", "sftp-server", "shell"]
            assert len(gateway.events("result", fingerprint=second.fingerprint, status=77)) == 5

            mine.said = ""
            mine.read_until("plaintext")
            assert held.process.poll() is None and opener.sftp("ls work").status == 0
            assert not gateway.events("session-closed", reason="revoked")
        finally:
            for one in (mine, theirs):
                one.end()
            for terminal in (*terminals.values(), question, sftp):
                terminal.close()


def test_what_a_second_key_runs_ends_when_the_key_expires(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    opener = opened(gateway)
    second = gateway.person("second", "team")
    ends = int(time.time()) + 6
    line = (
        f'expiry-time="{time.strftime("%Y%m%d%H%M%S", time.localtime(ends))}",environment="ENC_USER=team" ssh-ed25519'
    )
    text = gateway.authorized_keys.read_text()
    at = text.rindex('environment="ENC_USER=team" ssh-ed25519')
    gateway.authorized_keys.write_text(
        text[:at] + text[at:].replace('environment="ENC_USER=team" ssh-ed25519', line, 1)
    )
    with opener.mounted("work") as held:
        theirs = hold_script(second, STUBBORN)
        try:
            theirs.read_until("plaintext")
            result = theirs.wait(ends - time.time() + PROMISED)
            assert result.status == 77 and ends <= time.time() < ends + PROMISED
            assert held.process.poll() is None
        finally:
            theirs.end()


def test_nothing_of_a_session_goes_on_for_the_usual_grace_when_its_own_key_goes(
    make_gateway: Callable[..., Gateway],
) -> None:
    gateway = make_gateway(**{"lock.grace": "30"})
    opener = opened(gateway)
    with opener.mounted("work") as held:
        program = hold_script(opener, STUBBORN)
        try:
            program.read_until("plaintext")
            began = time.monotonic()
            written_in_place(gateway.authorized_keys, opener)
            assert program.wait(PROMISED).status == 77
            revoked_within(held, began)
        finally:
            program.end()


def test_a_prompt_s_own_session_ends_with_the_prompt(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    who = opened(gateway)
    terminal = who.terminal()
    try:
        terminal.expect(PROMPT)
        terminal.send("mount work\r")
        terminal.expect(": ")
        terminal.send(PASSPHRASE + "\r")
        terminal.expect("unlocked work")
        terminal.expect(PROMPT)
        terminal.send("half a li")
        began = time.monotonic()
        written_in_place(gateway.authorized_keys, who)
        ended_with(terminal, began)
        eventually(lambda: gateway.events("session-closed", reason="revoked"))
    finally:
        terminal.close()


# However the file is replaced


STORM = """
import os, time
open("a", "w").close()
print("ready", flush=True)
time.sleep(2)
for _ in range({}):
    os.rename("a", "b")
    os.rename("b", "a")
print("stormed", flush=True)
time.sleep(60)
"""


def test_an_edit_is_seen_that_the_kernel_had_no_room_to_tell_of(make_gateway: Callable[..., Gateway]) -> None:
    """The queue of inotify events (16,384) is full of what a program does in the view."""
    gateway = make_gateway()
    who = opened(gateway)
    script = STORM.format(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 4 + 100)
    with who.mounted("work") as held:
        time.sleep(1)  # it has begun to follow what goes on
        program = who.hold("run", "work", "--", "python3", "-", stdin=script)
        warden = gateway.warden()
        try:
            program.read_until("ready")
            os.kill(warden, signal.SIGSTOP)
            program.read_until("stormed")
            written_in_place(gateway.authorized_keys, who)
            os.kill(warden, signal.SIGCONT)
            revoked_within(held, time.monotonic())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(warden, signal.SIGCONT)
            program.end()


@pytest.fixture
def linked(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway whose authorized_keys is a link to a file elsewhere; two people, each with a project."""
    gateway = make_gateway()
    elsewhere = gateway.root.parent / "config" / "keys"
    elsewhere.mkdir(parents=True)
    gateway.authorized_keys.rename(elsewhere / "current")
    gateway.authorized_keys.symlink_to(elsewhere / "current")
    return gateway


def edited(file: Path, who: Person) -> None:
    written_in_place(file.resolve(), who)


def repointed(file: Path, who: Person) -> None:
    other, link = file.with_name("other"), file.with_name("link")
    other.write_text(without(file, who))
    link.symlink_to(other)
    link.rename(file)


def directory_above_replaced(file: Path, who: Person) -> None:
    text, real = without(file, who), file.resolve()
    real.parents[1].rename(real.parents[1].with_name("before"))
    real.parent.mkdir(parents=True)
    real.write_text(text)


@pytest.mark.parametrize("change", [edited, repointed, directory_above_replaced])
def test_a_link_is_followed_and_what_takes_its_place_is_noticed(
    linked: Gateway, change: Callable[[Path, Person], None]
) -> None:
    leaver, colleague = opened(linked, "leaver"), linked.person("colleague", "other")
    colleague.new("work")
    with leaver.mounted("work") as held, colleague.mounted("work") as other:
        time.sleep(2)  # longer than it takes to end a session
        assert held.process.poll() is None, "following the link, the key is authorized"
        began = time.monotonic()
        change(linked.authorized_keys, leaver)
        revoked_within(held, began)
        assert leaver.ssh("ls").status == 255 and colleague.ssh("ls").status == 0
        if change is edited:
            assert other.process.poll() is None
        else:  # what it cannot see authorizes nobody, and the audit has the reason
            revoked_within(other, began)
            assert "replaced" in str(linked.events("keys-unreadable", principal="other")[0]["error"])
    assert "leads through the link" in admin(linked, "key", "lint").out


def test_a_link_within_the_directory_may_be_repointed_under_live_sessions(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    leaver, colleague = opened(gateway, "leaver"), gateway.person("colleague", "other")
    colleague.new("work")
    file = gateway.authorized_keys
    file.rename(file.with_name("one"))
    file.symlink_to("one")

    def repoint(name: str, text: str) -> None:
        file.with_name(name).write_text(text)
        file.with_name("link").symlink_to(name)
        file.with_name("link").rename(file)

    with leaver.mounted("work") as held, colleague.mounted("work") as other:
        repoint("two", "# the same\n" + file.read_text())
        time.sleep(2)
        assert held.process.poll() is None
        began = time.monotonic()
        repoint("three", without(file, leaver))
        revoked_within(held, began)
        assert other.process.poll() is None and colleague.sftp("ls work").status == 0
    assert "link" not in admin(gateway, "key", "lint").out
