"""What crosses the exec from a front to its session's warden."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from gateway.base import codec
from gateway.base.records import Fd
from gateway.identity.authentication import Identity
from gateway.identity.names import Principal, ProjectName, SessionId, SharedName, SlotName
from gateway.session.protocol import Unlock
from gateway.session.spec import Anchor, Audit, Cluster, HeldPath, Home, IdleLimits, KeyFile, Quota, Spec, read_spec

CALLER = Identity(
    principal=Principal("dev1"),
    fingerprint="SHA256:x",
    key_type="ssh-ed25519",
    blob="AAAA",
    address="192.0.2.7",
    port=5,
    connection="192.0.2.7 5 198.51.100.1 22",
)


def spec(fds: list[Fd]) -> Spec:
    """One that has all there is, with thirteen descriptors."""
    first = Unlock(
        principal=CALLER.principal,
        origin="192.0.2.7:5",
        project=ProjectName("p"),
        called=SharedName.of("alice/p"),
        slot=SlotName("passphrase"),
        slot_kind="passphrase",
        slot_id="0123456789abcdef",
        secret=fds[0],
        attempt=fds[1],
        place=fds[2],
    )
    return Spec(
        id=SessionId("s-000000000001"),
        caller=CALLER,
        home=Home(owner=CALLER.principal, role="owner", shared=True, vaults="/v"),
        anchor=Anchor(name="mount", as_json=True, request="r", began=1.5, first=first, hangup=fds[3], ready=fds[4]),
        audit=Audit(name="audit.jsonl", syslog=""),
        idle=IdleLimits(session=1, view=2, view_longest=3, warning=4),
        quota=Quota(disk=5, ledger=fds[5]),
        hard_links=False,
        grace=6,
        keys=KeyFile(
            directory="/k",
            name="authorized_keys",
            in_directory=HeldPath(path="/k/authorized_keys", fd=fds[6]),
            links=(HeldPath(path="/etc/enc", fd=fds[7]),),
        ),
        place=fds[8],
        lock=fds[9],
        status=fds[10],
        watchdog=fds[11],
        monitor=fds[12],
        cluster=Cluster(host="gw1", stale=10),
    )


@pytest.mark.parametrize("lacking", [False, True], ids=["with all", "with what a session needs"])
def test_a_warden_is_told_what_the_front_has_said_and_keeps_its_descriptors_to_itself(lacking: bool) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    fds = [Fd(os.dup(null)) for _ in range(13)]
    for fd in fds:
        os.set_inheritable(fd, True)
    said = spec(fds)
    if lacking:
        said = said.replace(
            quota=None, monitor=None, cluster=None, anchor=said.anchor.replace(first=None, hangup=None, ready=None)
        )
        said = said.replace(keys=said.keys.replace(links=()))
    reader, writer = os.pipe()
    os.write(writer, codec.dumps(said).encode())
    os.close(writer)
    got = read_spec(reader)
    assert got == said
    assert repr(got) == repr(said)
    assert type(got.caller) is Identity and type(got.caller.principal) is Principal and type(got.id) is SessionId
    assert codec.descriptors(got) == ([fds[6], *fds[8:12]] if lacking else fds)
    assert {fd for fd in fds if os.get_inheritable(fd)} == set(fds) - set(codec.descriptors(got))
    for fd in (*fds, Fd(null)):
        os.close(fd)


def test_a_spec_with_a_field_too_many_is_refused() -> None:
    def told(values: dict[str, Any]) -> Spec:
        reader, writer = os.pipe()
        os.write(writer, json.dumps(values).encode())
        os.close(writer)
        return read_spec(reader)

    values = json.loads(codec.dumps(spec([Fd(0)] * 13)))
    changes: tuple[dict[str, object], ...] = (
        {"x": 1},
        {"caller": {**values["caller"], "uid": 0}},
        {"place": None},
        {"anchor": {}},
    )
    for wrong in changes:
        with pytest.raises(ValueError):
            told({**values, **wrong})
