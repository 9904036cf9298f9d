"""Slots are added, changed and removed all or nothing, by the real gocryptfs, and one change at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base import files, syscalls
from gateway.errors import CannotCreate, EncError, NoSuchProject, Usage, WrongSecret
from gateway.identity.names import ProjectName, SlotName
from gateway.vault import garbage, lifecycle, store
from gateway.vault.slots import change, stored
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Role, Slot
from gateway.vault.store import Vault

FINGERPRINT = "SHA256:" + "A" * 43
FIRST, SECOND, STRONG = b"correct horse", b"battery staple", b"00" * 32
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Its passphrase costs a sixty-fourth of what it costs by default."""
    reader, writer = os.pipe()
    os.write(writer, FIRST + b"\n")
    os.close(writer)
    (tmp_path / "home").mkdir()
    return lifecycle.create(str(tmp_path / "home"), ProjectName.of("p"), FINGERPRINT, reader, passphrase_cost=10)


def opens(vault: Vault, name: str, secret: bytes) -> bool:
    config = stored.config_path(vault.slots, SlotName.of(name))
    words = ["gocryptfs", "-fsck", "-q", "-nosyslog", "-config", config, vault.cipher]
    return subprocess.run(words, input=secret + b"\n", capture_output=True, check=False).returncode == 0


def cost(vault: Vault, name: str) -> int:
    config = json.loads(Path(stored.config_path(vault.slots, SlotName.of(name))).read_text())
    return int(config["ScryptObject"]["N"])


def first(vault: Vault) -> Opened:
    return Opened(slot=store.check(vault)[0], secret=FIRST)


def new(kind: Kind, **more: str) -> Slot:
    made = Slot(name=change.first_name(kind), kind=kind, label="", created="now", fingerprint=FINGERPRINT, id="00" * 8)
    return made.replace(**more)


def tree(vault: Vault) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(vault.path).rglob("*") if path.is_file()}


def test_a_slot_is_added_and_both_open_the_same(vault: Vault) -> None:
    made = change.add(vault, first(vault), new(Kind.RECOVERY), STRONG)
    again = change.add(vault, first(vault), new(Kind.RECOVERY), STRONG)
    assert [slot.name for slot in store.check(vault)] == ["passphrase", made.name, again.name]
    assert (made.name, again.name) == ("recovery", "recovery-2")
    assert opens(vault, "passphrase", FIRST) and opens(vault, "recovery", STRONG)
    assert not opens(vault, "recovery", FIRST) and not opens(vault, "passphrase", STRONG)
    added = change.add(vault, first(vault), new(Kind.PASSPHRASE), SECOND, passphrase_cost=11)
    assert (cost(vault, added.name), cost(vault, "recovery")) == (1 << 11, 1 << 10)
    assert sorted(os.listdir(vault.path)) == ["cipher", "lock", "slots", "vault.toml"]


def test_a_passphrase_that_replaces_a_strong_secret_costs_what_a_passphrase_costs(vault: Vault) -> None:
    recovery = change.add(vault, first(vault), new(Kind.RECOVERY), STRONG)
    opened = Opened(slot=recovery, secret=STRONG)
    before = store.check(vault)[0]
    changed = change.replace(vault, opened, before, SECOND, "later", "SHA256:y")
    assert opens(vault, "passphrase", SECOND) and not opens(vault, "passphrase", FIRST)
    assert cost(vault, "passphrase") == 1 << 16
    assert changed.id == before.id != "" and changed.created == "later"


def test_a_slot_of_the_first_version_is_opened_and_changed(vault: Vault) -> None:
    (slot,) = store.check(vault)
    path = Path(stored.description_path(vault.slots, slot.name))
    path.write_text('kind = "passphrase"\nlabel = "passphrase"\ncreated = "x"\nfingerprint = "SHA256:x"\nsalt = ""\n')
    (old,) = store.check(vault)
    assert old.version == 1
    change.replace(vault, Opened(slot=old, secret=FIRST), old, SECOND, "later", FINGERPRINT)
    (now,) = store.check(vault)
    assert (now.version, now.name, now.role) == (2, "passphrase", Role.OWNER) and now.binding and now.id
    assert opens(vault, "passphrase", SECOND)


@pytest.mark.parametrize("secret", [b"wrong", b"", b"correct horse\r"])
def test_a_wrong_secret_changes_nothing(vault: Vault, secret: bytes) -> None:
    before = tree(vault)
    wrong = first(vault).replace(secret=secret)
    with pytest.raises(WrongSecret):
        change.add(vault, wrong, new(Kind.RECOVERY), STRONG)
    with pytest.raises(WrongSecret):
        change.replace(vault, wrong, wrong.slot, SECOND, "later", FINGERPRINT)
    assert tree(vault) == before


def test_the_last_way_is_not_removed_and_what_is_required_is(vault: Vault) -> None:
    def refuse(_left: tuple[Slot, ...]) -> None:
        raise Usage("no")

    def nothing(_left: tuple[Slot, ...]) -> None:
        return

    phrase = first(vault).slot
    with pytest.raises(Usage, match="the last way"):
        change.remove(vault, phrase, nothing)
    recovery = change.add(vault, first(vault), new(Kind.RECOVERY), STRONG)
    change.add(vault, first(vault), new(Kind.RECOVERY, principal="bob").replace(role=Role.READER), STRONG)
    change.add(vault, first(vault), new(Kind.INVITATION), STRONG)
    before = tree(vault)
    with pytest.raises(Usage, match="no"):
        change.remove(vault, phrase, refuse)
    with pytest.raises(Usage, match="no such way"):
        change.remove(vault, phrase.replace(id="ff" * 8), nothing)
    assert tree(vault) == before
    change.remove(vault, phrase, nothing)
    with pytest.raises(Usage, match="the last way"):  # neither a reader's nor an invitation is the owner's
        change.remove(vault, recovery, nothing)
    assert not opens(vault, "passphrase", FIRST) and opens(vault, "recovery", STRONG)


def ended_at(step: int, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> int:
    """Change the passphrase in a child, which is ended at that step; its exit status, 0 if it came to the end."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = [step]

    def counted(real: Callable[..., object], after: bool) -> Callable[..., object]:
        def call(*words: object, **more: object) -> object:
            left[0] -= 1
            if left[0] < 0 and not after:
                os._exit(9)
            result = real(*words, **more)
            if left[0] < 0:
                os._exit(9)
            return result

        return call

    for module, name in [(files, "replace"), (files, "sync"), (syscalls, "exchange")]:
        monkeypatch.setattr(module, name, counted(getattr(module, name), name == "exchange"))
    change.replace(vault, first(vault), first(vault).slot, SECOND, "later", FINGERPRINT, 10)
    os._exit(0)


def test_a_crash_at_any_step_leaves_the_old_slots_or_the_new_ones(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file that is written or synced, and the exchange, is a step; a child is ended at each in turn."""
    for step in range(40):
        status = ended_at(step, vault, monkeypatch)
        (slot,) = store.check(vault)
        opened = [secret for secret in (FIRST, SECOND) if opens(vault, "passphrase", secret)]
        assert opened == ([SECOND] if slot.created == "later" else [FIRST])
        if opened == [SECOND]:
            break
    assert step > 5 and status == 9
    assert any(name.startswith(change.DRAFT) for name in os.listdir(vault.path))
    change.add(vault, Opened(slot=slot, secret=SECOND), new(Kind.RECOVERY), STRONG)
    assert not any(name.startswith(change.DRAFT) for name in os.listdir(vault.path))


def test_a_draft_that_a_crash_left_is_swept(vault: Vault) -> None:
    draft = Path(vault.path) / f"{change.DRAFT}0000"
    draft.mkdir()
    (draft / "passphrase.conf").write_text("old")
    home = os.path.dirname(vault.path)
    assert garbage.sweep_home(home, 30).staged == 0 and draft.exists()
    files_age, files.ABANDONED_AFTER = files.ABANDONED_AFTER, -1
    try:
        assert garbage.sweep_home(home, 30).staged == 1 and not draft.exists()
    finally:
        files.ABANDONED_AFTER = files_age


def test_two_changes_at_once_are_made_one_after_the_other(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "_BUSY_SECONDS", 120.0)  # on a machine with much else to do
    opened = first(vault)

    def one(_number: int) -> None:
        change.add(vault, opened, new(Kind.RECOVERY), STRONG)

    workers = [FORK.Process(target=one, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(store.check(vault)) == 7


def test_of_two_who_change_one_slot_the_second_is_told(vault: Vault) -> None:
    opened = first(vault)
    change.replace(vault, opened, opened.slot, SECOND, "later", FINGERPRINT)
    with pytest.raises(WrongSecret, match="changed meanwhile"):
        change.replace(vault, opened, opened.slot, b"third", "later", FINGERPRINT)
    assert opens(vault, "passphrase", SECOND)


def test_who_reads_while_others_change_never_sees_damage(vault: Vault) -> None:
    """One of two sets of slots, which another process exchanges as fast as it can."""
    change.add(vault, first(vault), new(Kind.RECOVERY), STRONG)
    other = vault.slots + ".other"
    shutil.copytree(vault.slots, other)
    for directory, name in ((vault.slots, "recovery"), (other, "passphrase")):
        for path in (stored.config_path, stored.description_path):
            os.unlink(path(directory, SlotName(name)))
    stop = FORK.Event()

    def write() -> None:
        while not stop.is_set():
            syscalls.exchange(vault.slots, other)
            time.sleep(0.002)

    writer = FORK.Process(target=write)
    writer.start()
    try:
        seen = {tuple(slot.name for slot in store.check(vault)) for _ in range(2000)}
    finally:
        stop.set()
        writer.join(60)
    assert seen == {("passphrase",), ("recovery",)}


def test_a_vault_that_is_gone_or_cannot_be_written_is_one_error(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = first(vault)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = tree(vault)
    monkeypatch.setattr(syscalls, "exchange", full)
    with pytest.raises(CannotCreate, match="No space left"):
        change.add(vault, opened, new(Kind.RECOVERY), STRONG)
    assert tree(vault) == before
    os.rename(vault.path, vault.path + ".gone")
    with pytest.raises(NoSuchProject):
        change.add(vault, opened, new(Kind.RECOVERY), STRONG)


def test_a_damaged_slot_ends_the_change_before_gocryptfs_runs(vault: Vault) -> None:
    config = Path(stored.config_path(vault.slots, SlotName("passphrase")))
    opened = first(vault)
    config.write_text(config.read_text().replace('"N": 1024', f'"N": {1 << 30}'))
    with pytest.raises(EncError, match="damaged"):
        change.add(vault, opened, new(Kind.RECOVERY), STRONG)
