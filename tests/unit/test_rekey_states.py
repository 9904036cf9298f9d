"""A rekey is interrupted at each of its steps on the disk: the project is the old vault or the new one, and what is
left is known for what it is.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.base import files, locks, syscalls
from gateway.errors import Busy
from gateway.identity.names import ProjectName, in_vault
from gateway.vault import garbage, lease, lifecycle, rekey, store, trash
from gateway.vault.lease import LeaseHolder
from gateway.vault.rekey import State
from gateway.vault.slots import change
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Slot
from gateway.vault.store import Vault
from tests.unit.test_slot_changes import FINGERPRINT, FIRST, STRONG, new, opens

HOLDER = LeaseHolder(session="rekey", since="now", address="here")
ID = "0123456789abcdef"
LONG_AGO = 10 * 86400
NOW = time.time


class Killed(BaseException):
    pass


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    (tmp_path / "home").mkdir()
    first = new(Kind.RECOVERY, id="0" * 16)  # whose secret is cheap to check
    return lifecycle.create(str(tmp_path / "home"), ProjectName.of("p"), FINGERPRINT, pipe(FIRST), first)


def pipe(secret: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, secret + b"\n")
    os.close(writer)
    return reader


def home(vault: Vault) -> str:
    return os.path.dirname(vault.path)


def begin(vault: Vault) -> Opened:
    first = new(Kind.RECOVERY, id="1" * 16)
    rekey.begin(vault, FINGERPRINT, pipe(FIRST), first, ID, 10)
    return Opened(slot=store.check(rekey.beside(vault))[0], secret=FIRST)


def work(vault: Vault) -> None:
    """As the command does, without the copy: begin or continue, new slots, exchange, trash."""
    found = rekey.state(vault)
    if found is not State.EXCHANGED:
        if found is State.DRAFT:
            (first,) = [slot for slot in store.check(rekey.beside(vault)) if slot.kind is Kind.RECOVERY]
            opened = Opened(slot=first, secret=FIRST)
        else:
            opened = begin(vault)
        wanted: list[tuple[Slot, bytes]] = [(new(Kind.INVITATION, principal="bob"), STRONG)]
        rekey.set_slots(rekey.beside(vault), opened, wanted)
        rekey.exchange(vault)
    lifecycle.into_trash(home(vault), rekey.beside(vault))


def dies(calls: list[str], at: int) -> Callable[[str, Callable[..., object]], Callable[..., object]]:
    """A wrapper of functions, which is killed before the call number `at`; `calls` gets the names of all."""

    def wrapper(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def called(*words: object, **named: object) -> object:
            if len(calls) == at:
                raise Killed
            calls.append(name)
            return function(*words, **named)

        return called

    return wrapper


STEPS = ((os, "rename"), (syscalls, "exchange"), (syscalls, "syncfs"))


def test_killed_before_any_step_it_leaves_the_old_vault_or_the_new_one_and_the_next_call_finishes(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round begins anew, is killed one step later than the one before, and then continued."""
    old, at, states = store.identity(vault), 0, list[State]()
    aside = f"{home(vault)}-aside"
    shutil.copytree(home(vault), aside)
    while not states or states[-1] is not State.EXCHANGED:
        calls: list[str] = []
        with monkeypatch.context() as patched:
            for module, name in STEPS:
                patched.setattr(module, name, dies(calls, at)(name, getattr(module, name)))
            with pytest.raises(Killed):
                work(vault)
        states.append(rekey.state(vault))
        now = store.identity(vault)
        assert (now, states[-1]) in ((old, State.NOTHING), (old, State.DRAFT), (ID, State.EXCHANGED)), calls
        assert opens(vault, "recovery", FIRST) and store.names(home(vault)) == ("p",), calls
        work(vault)
        assert store.identity(vault) == ID and rekey.state(vault) is State.NOTHING
        assert [slot.kind for slot in store.check(vault)] == [Kind.INVITATION, Kind.RECOVERY], calls
        (trashed,) = trash.names_in(home(vault))
        assert store.identity(Vault(name=vault.name, path=trashed.path)) == old
        shutil.rmtree(home(vault))
        shutil.copytree(aside, home(vault))
        at += 1
    assert set(states) == {State.NOTHING, State.DRAFT, State.EXCHANGED} and len(states) > 8


def age(path: str, monkeypatch: pytest.MonkeyPatch, seconds: float = LONG_AGO) -> None:
    """From now on it is long ago that something changed."""
    now = NOW()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    assert files.is_older(path, 1)


def test_what_was_left_is_known_and_cleared_only_when_it_is_safe(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(vault)
    draft = rekey.beside(vault)
    assert rekey.state(vault) is State.DRAFT
    assert garbage.sweep_home(home(vault), 30).drafts == 0, "it can be continued"
    with monkeypatch.context() as later:
        age(draft.path, later, 6 * 86400)
        assert garbage.sweep_home(home(vault), 30).drafts == 0, "it still can"
        age(draft.path, later)
        held = lease.acquire(draft, HOLDER)
        assert garbage.sweep_home(home(vault), 30).drafts == 0, "somebody is at it"
        lease.release(held)
        assert garbage.sweep_home(home(vault), 30).drafts == 1
    assert rekey.state(vault) is State.NOTHING and opens(vault, "recovery", FIRST)
    assert not [name for name in os.listdir(home(vault)) if name.startswith(".")]


def test_an_old_vault_that_was_left_goes_to_the_trash_and_is_never_deleted(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(vault)
    rekey.exchange(vault)
    assert rekey.state(vault) is State.EXCHANGED
    age(vault.path, monkeypatch)
    assert garbage.sweep_home(home(vault), 30).drafts == 0
    (trashed,) = trash.names_in(home(vault))
    assert opens(Vault(name=vault.name, path=trashed.path), "recovery", FIRST)


@pytest.mark.parametrize("gone", ["removed", "another", "damaged draft"])
def test_a_draft_whose_project_is_gone_is_stale_and_what_is_not_known_goes_to_the_trash(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    begin(vault)
    if gone == "damaged draft":
        Path(rekey.beside(vault).metadata).write_text("?")
    else:
        lifecycle.into_trash(home(vault), vault)
        if gone == "another":
            lifecycle.create(home(vault), in_vault(vault.name), FINGERPRINT, pipe(FIRST), passphrase_cost=10)
    assert rekey.state(vault) is (State.UNKNOWN if gone == "damaged draft" else State.STALE)
    before = len(trash.names_in(home(vault)))
    age(rekey.beside(vault).path, monkeypatch)
    assert garbage.sweep_home(home(vault), 30).drafts == (gone != "damaged draft")
    assert len(trash.names_in(home(vault))) - before == (gone == "damaged draft")
    assert rekey.state(vault) is State.NOTHING


def test_a_link_in_the_place_of_a_draft_is_left_alone(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", rekey.beside(vault).path)
    age(vault.path, monkeypatch)
    garbage.sweep_home(home(vault), 30)
    assert os.path.islink(rekey.beside(vault).path) and not list((tmp_path / "elsewhere").iterdir())


def test_who_waits_while_a_vault_is_exchanged_changes_nothing_of_the_old_one(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the lease and the lock of the slots are of what had the name before."""
    opened = Opened(slot=store.check(vault)[0], secret=FIRST)
    begin(vault)

    def late(function: Callable[..., bool]) -> Callable[..., bool]:
        def called(*words: object) -> bool:
            rekey.exchange(vault)
            return function(*words)

        return called

    monkeypatch.setattr(locks, "acquire_within", late(locks.acquire_within))
    with pytest.raises(Busy, match="was replaced meanwhile"):
        change.add(vault, opened, new(Kind.RECOVERY), STRONG)
    assert len(store.check(rekey.beside(vault))) == 1
    monkeypatch.setattr(locks, "try_acquire", late(locks.try_acquire))
    with pytest.raises(Busy, match="was replaced meanwhile"):
        lease.acquire(vault, HOLDER)


def test_a_rekey_has_its_own_words_for_those_who_come_meanwhile(vault: Vault) -> None:
    lease.require_no_rekey(vault)
    held = lease.acquire(vault, HOLDER)
    for asked in (lambda: lease.require_no_rekey(vault), lambda: lease.acquire(vault, HOLDER)):
        with pytest.raises(Busy, match="is being rekeyed, from here since now"):
            asked()
    os.close(held)  # killed: its name stays in the file
    lease.require_no_rekey(vault)
