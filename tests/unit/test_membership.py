"""Names of shared projects, the links by which members find them, who is a member, and how links are mended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.base.clock import utc
from gateway.errors import Usage, WrongSecret
from gateway.identity.names import Principal, ProjectName, SharedName, SlotName, in_vault, named, named_by
from gateway.limits.disk import usage
from gateway.vault import lifecycle, store
from gateway.vault.members import links, membership, repair
from gateway.vault.members.links import Link
from gateway.vault.slots import change, invitation, stored, survey
from gateway.vault.slots.change import Opened
from gateway.vault.slots.stored import Kind, Role, Slot
from gateway.vault.store import Vault

ALICE, BOB, CAROL = map(Principal.of, ("alice", "bob", "carol"))
PRINT = Principal.of_fingerprint("SHA256:" + "a/+" * 14 + "A")
PLAN = SharedName.made_of(ALICE, ProjectName.of("plan"))
FIRST, THEIRS = b"correct horse", b"00" * 32
PAST, LATER = utc(0), utc(1 << 33)


# names


@pytest.mark.parametrize("who", [ALICE, PRINT, Principal.of("a@b.example"), Principal.of("A" * 63)])
def test_a_name_of_a_shared_project_is_its_owner_s_word_and_its_own(who: Principal) -> None:
    name = SharedName.made_of(who, ProjectName.of("p.1"))
    assert name.count("/") == 1 and SharedName.of(str(name)) == name
    assert (named(str(name)), in_vault(name), Principal.of_word(who.word)) == (name, "p.1", who)
    assert named_by(who, who, name.project) == "p.1" and named_by(BOB, who, name.project) == name


@pytest.mark.parametrize(
    "text",
    [
        *(
            "alice/",
            "/plan",
            "/",
            "alice//plan",
            "alice/plan/x",
            "alice/../bob",
            "../plan",
            "alice/.shared",
            "alice/Plan",
        ),
        *("a\u0301lice/plan", "\u202ealice/plan", "alice\u2215plan/p", "alice/pl an", "alice/plan\n", " alice/plan"),
        *("SHA256:abc/plan", "SHA256:" + "a/b" * 14 + "A/plan", "u:x/plan", "a" * 64 + "/plan", "alice/" + "p" * 64),
        *("-alice/plan", "alice/-plan", "a..b/plan"),
    ],
)
def test_what_is_no_such_name_is_refused_and_not_repeated(text: str) -> None:
    assert not SharedName.accepts(text)
    with pytest.raises(Usage) as refused:
        named(text)
    assert text not in refused.value.line()


# links


@pytest.fixture
def root(tmp_path: Path) -> str:
    path = tmp_path / "vaults"
    path.mkdir()
    return str(path)


def link(name: SharedName = PLAN, role: str = "writer", until: str = "") -> Link:
    return Link(name=name, role=role, invited_until=until)


def test_a_link_says_the_role_and_until_when_an_invitation_is_good(root: str) -> None:
    other = SharedName.made_of(PRINT, ProjectName.of("deep"))
    for one in (link(), link(other, "reader", LATER)):
        links.put(root, BOB, one)
        assert links.find(root, BOB, one.name) == one
    assert links.owners(root, BOB) == (PRINT, ALICE) and links.names(root, BOB) == (other, PLAN)
    assert links.of(root, CAROL) == ()
    links.remove(root, BOB, other)
    assert links.owners(root, BOB) == (ALICE,), "an empty directory is no owner"
    links.remove(root, BOB, other)


def test_what_is_no_link_among_them_is_passed_over(root: str) -> None:
    links.put(root, BOB, link())
    beside = Path(links.directory(root, BOB))
    for name in ("nonsense", "u-..", "k-short"):
        (beside / name).mkdir()
    (beside / "u-alice" / ".hidden").touch()
    (beside / "u-alice" / "huge").write_text("x" * 1000)
    (beside / "u-alice" / "a-directory").mkdir()
    os.symlink("/etc/passwd", beside / "u-alice" / "a-link")
    assert links.of(root, BOB) == (link(),)


# who is a member


def slot(kind: Kind = Kind.PASSPHRASE, principal: str = "", role: Role = Role.OWNER, **more: str) -> Slot:
    name = change.first_name(kind)
    made = Slot(name=name, kind=kind, label="", created="2026-01-01", fingerprint="", id="00" * 8)
    return made.replace(principal=principal, role=role, **more)


def test_whoever_has_a_slot_is_a_member_and_an_expired_invitation_is_told() -> None:
    slots = (
        slot(),
        slot(Kind.SSH_KEY, "bob", Role.WRITER, created="2026-02-02"),
        slot(Kind.PASSPHRASE, "bob", Role.WRITER),
        slot(Kind.INVITATION, "carol", Role.READER, expires=LATER),
        slot(Kind.INVITATION, "dave", Role.READER, expires=PAST),
    )
    bob, carol, dave = membership.of(slots, ALICE)
    assert (carol.has_expired, dave.has_expired) == (False, True)
    assert (bob.principal, bob.role, bob.since, bob.invited_until) == ("bob", Role.WRITER, "2026-01-01", "")
    assert (carol.principal, carol.role, carol.invited_until) == ("carol", Role.READER, LATER)
    assert membership.find(slots, ALICE, ALICE) is None
    assert [one.principal for one in membership.of((slot(Kind.PASSPHRASE, "alice"),), ALICE)] == []


# slots of members


@pytest.fixture
def vault(root: str) -> Vault:
    reader, writer = os.pipe()
    os.write(writer, FIRST + b"\n")
    os.close(writer)
    return lifecycle.create(
        store.home(root, ALICE), ProjectName.of("plan"), "SHA256:" + "A" * 43, reader, passphrase_cost=10
    )


def owners(vault: Vault) -> Opened:
    return Opened(slot=next(one for one in store.check(vault) if not one.principal), secret=FIRST)


def invite(vault: Vault, who: Principal, role: Role = Role.WRITER, expires: str = LATER) -> tuple[Slot, bytes]:
    new, code = invitation.new(who, role, expires, "SHA256:" + "A" * 43)
    return change.add(vault, owners(vault), new, code), code


def test_an_invitation_gives_way_to_the_member_s_own_slot_in_one_step(vault: Vault) -> None:
    made, code = invite(vault, BOB, Role.READER)
    own = slot(Kind.RECOVERY, "bob", Role.READER)
    change.add(vault, Opened(slot=made, secret=code), own, THEIRS, lambda one: one.kind is Kind.INVITATION)
    kinds = {(one.kind, one.principal, one.role) for one in store.check(vault)}
    assert kinds == {(Kind.PASSPHRASE, "", Role.OWNER), (Kind.RECOVERY, "bob", Role.READER)}
    assert not [name for name in os.listdir(vault.slots) if "invitation" in name]


def test_what_a_wrong_code_adds_is_nothing_and_takes_nothing(vault: Vault) -> None:
    made, _ = invite(vault, BOB)
    before = store.check(vault)
    with pytest.raises(WrongSecret):
        change.add(vault, Opened(slot=made, secret=b"11" * 32), slot(Kind.RECOVERY, "bob"), THEIRS, lambda _: True)
    assert store.check(vault) == before


def test_all_slots_of_a_member_go_at_once_and_the_owner_s_stay(vault: Vault) -> None:
    invite(vault, BOB)
    change.add(vault, owners(vault), slot(Kind.RECOVERY, "bob", Role.WRITER), THEIRS)
    invite(vault, CAROL)
    gone = change.remove_of(vault, "bob")
    assert {one.kind for one in gone} == {Kind.INVITATION, Kind.RECOVERY}
    assert {one.principal for one in store.check(vault)} == {"", "carol"}
    before = store.check(vault)
    for nobody in ("bob", "alice"):
        with pytest.raises(Usage, match="no member"):
            change.remove_of(vault, nobody)
    assert store.check(vault) == before


# mending


def mended(root: str) -> tuple[int, int]:
    done = repair.repair(root)
    assert done.problems == () and repair.differences(root) == []
    return done.put, done.removed


def test_a_missing_link_is_put_a_wrong_one_corrected_and_one_without_a_slot_removed(vault: Vault, root: str) -> None:
    invite(vault, BOB, Role.READER)
    change.add(vault, owners(vault), slot(Kind.RECOVERY, "carol", Role.WRITER), THEIRS)
    links.put(root, BOB, link(role="writer"))
    gone = SharedName.made_of(ALICE, ProjectName.of("gone"))
    links.put(root, BOB, link(gone))
    links.put(root, PRINT, link())
    assert mended(root) == (2, 2)
    assert links.of(root, BOB) == (link(role="reader", until=LATER),)
    assert links.of(root, CAROL) == (link(role="writer"),)
    assert links.of(root, PRINT) == ()
    assert mended(root) == (0, 0)


def test_an_expired_invitation_s_link_goes_and_is_no_fault(vault: Vault, root: str) -> None:
    invite(vault, BOB, expires=PAST)
    links.put(root, BOB, link(until=PAST))
    (one,) = repair.differences(root)
    assert not one.is_stray
    assert mended(root) == (0, 1)


def test_links_to_a_damaged_vault_stay_as_they_are(vault: Vault, root: str) -> None:
    links.put(root, BOB, link())
    os.unlink(vault.metadata)
    assert mended(root) == (0, 0)
    assert links.of(root, BOB) == (link(),)


def test_a_link_that_somebody_made_a_directory_is_named(vault: Vault, root: str) -> None:
    place = Path(links.directory(root, BOB)) / "u-alice" / "plan" / "x"
    place.mkdir(parents=True)
    assert repair.repair(root).problems == ()
    change.add(vault, owners(vault), slot(Kind.RECOVERY, "bob", Role.WRITER), THEIRS)
    assert ["bob's link to alice/plan" in one for one in repair.repair(root).problems] == [True]


def test_what_changed_since_the_slots_were_read_is_looked_at_again(
    vault: Vault, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    links.put(root, BOB, link())  # as `share` does after it has made the slot, which is not there yet
    before = repair.differences(root)
    change.add(vault, owners(vault), slot(Kind.RECOVERY, "bob", Role.WRITER), THEIRS)
    monkeypatch.setattr(repair, "differences", lambda _: before)
    assert repair.repair(root) == repair.Repaired()
    assert links.of(root, BOB) == (link(),)


def test_a_vault_under_another_name_has_its_members(vault: Vault, root: str) -> None:
    invite(vault, BOB)
    os.rename(vault.path, f"{vault.path}.restored")
    (who,) = repair.of_vault(root, ALICE, ProjectName.of("plan.restored"))
    assert who.principal == BOB
    assert links.names(root, BOB) == (SharedName.made_of(ALICE, ProjectName.of("plan.restored")),)


def test_links_count_for_nobody_s_quota_and_are_no_project(vault: Vault, root: str) -> None:
    home = store.home(root, BOB)
    before = usage.used(home)
    for number in range(20):
        links.put(root, BOB, link(SharedName.made_of(ALICE, ProjectName.of(f"p{number}"))))
    assert usage.used(home) == before
    assert store.names(home) == ()


def test_a_vault_that_only_an_invitation_opens_is_stranded(vault: Vault, root: str) -> None:
    invite(vault, BOB)
    keys = {"bob": {"a-blob"}}
    assert survey.stranded(root, keys) == ["alice/plan"]
    change.add(vault, owners(vault), slot(Kind.RECOVERY, "bob", Role.WRITER), THEIRS)
    assert survey.stranded(root, keys) == []
    assert survey.of_member(root, BOB) == ["alice/plan"] and survey.of_member(root, ALICE) == []
    assert stored.load("plan", vault.slots, store.identity(vault))[0].name == SlotName.of("invitation")
