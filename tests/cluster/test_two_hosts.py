"""Two hosts, one project: who has it, who is told, and what ends it on both."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.history import faults
from tests.cluster.rig import NAMES, Rig
from tests.harness import PASSPHRASE, eventually


def test_the_second_host_is_refused_and_names_the_first(rig: Rig) -> None:
    who = rig.person()
    who.new("proj")
    there = rig.at(who, "gw2")
    with who.mounted("proj"):
        refused = there.ssh("mount", "proj", stdin=PASSPHRASE + "\n")
        assert refused.status == 75
        assert "gw1" in refused.err
        eventually(lambda: "gw1" in there.ssh("ls").out)
    with rig.unlocked(there, "proj"):
        pass


def test_a_balancer_that_changes_its_mind_leads_to_one_host_at_a_time(rig: Rig) -> None:
    """HAProxy sends each new login to the other host: while somebody writes on one, and then in turns."""
    who = rig.person()
    who.new("proj")
    epochs = []
    for here, there in (NAMES, NAMES[::-1]) * 2:
        other = rig.at(who, there)
        with rig.writing(rig.at(who, here), "proj") as holder:
            for words, stdin in ((("mount", "proj"), PASSPHRASE + "\n"), (("run", "proj", "--", "touch", "late"), "")):
                refused = other.ssh(*words, stdin=stdin)
                assert refused.status == 75 and here in refused.err, refused
            holder.writer.wait_for("wrote")
            epochs.append(holder.end())
    assert not faults(rig.judged(who, "proj", tuple(epochs)))


def test_a_key_that_is_removed_from_the_master_ends_its_sessions_on_both_hosts(rig: Rig) -> None:
    who = rig.person()
    there = rig.at(who, "gw2")
    who.new("one")
    who.new("two")
    master = rig.gateways["gw1"].authorized_keys
    word = Path(f"{who.key}.pub").read_text().split()[1]
    with who.mounted("one") as first, there.mounted("two") as second:
        lines = master.read_text().splitlines(keepends=True)
        master.write_text("".join(line for line in lines if word not in line))
        for held in (first, second):
            assert "key" in held.wait(10).out
    assert who.ssh("ls").status == 255
    eventually(lambda: not any(gateway.sessions() for gateway in rig.gateways.values()))
