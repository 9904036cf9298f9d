"""What a backup copies from: a snapshot of all vaults where their file system makes one, else the vaults themselves."""

from __future__ import annotations

import contextlib
import os
import time

import click

from gateway.base import clock, privileges
from gateway.base.records import Record
from gateway.cluster import ceph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "enc-backup-"


class Moment(Record):
    """The vaults are in the directory `root`, as they were at `taken` (RFC 3339, UTC); "" there: as they are."""

    root: str
    taken: str = ""


@contextlib.contextmanager
def of(vaults: str) -> Iterator[Moment]:
    """What to copy from, for the length of the block. Says in a line when there can be no snapshot on CephFS."""
    if not ceph.client_name(vaults):
        yield Moment(root=vaults)
        return
    taken = clock.utc(time.time())
    try:
        with privileges.root():
            snapshot = ceph.make_snapshot(vaults, _PREFIX + taken)
    except OSError as error:
        needs = ": this host's cephx key needs the flag s" if isinstance(error, PermissionError) else ""
        _say(f"no snapshot of all vaults ({error.strerror}{needs}); each is copied of a moment of its own")
        yield Moment(root=vaults)
        return
    try:
        yield Moment(root=snapshot, taken=taken)
    finally:
        try:
            with privileges.root():
                os.rmdir(snapshot)
        except OSError as error:
            _say(f"{snapshot} is left: {error.strerror}; remove it with rmdir")


def _say(words: str) -> None:
    click.echo(f"enc-gateway: {words}", err=True)
