"""The finding about a file system that does not work on this host, and what a sysadmin does about it."""

from __future__ import annotations

import errno
import os

from gateway.cluster import mount_table, places
from gateway.doctor.finding import Finding, fail
from gateway.errors import is_storage_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.config.schema import Config

MOUNT_ANEW = {
    errno.ESHUTDOWN: "Ceph has put this host out",
    errno.ENOTCONN: "the process that serves it has ended",
}
"""What each access to a file system gets that works again when it is mounted anew, and why."""


def finding(subject: str, config: Config, path: str, number: int) -> Finding:
    """About `path`, an access to which failed with the error `number`."""
    state = f"{path}: {os.strerror(number)}"
    if number in MOUNT_ANEW and places.is_cluster(config):
        point = mount_table.of(path).point
        return fail(subject, state, f"{MOUNT_ANEW[number]}: umount -l {point}; mount {point}")
    if is_storage_lost(OSError(number, "")):
        return fail(subject, state, "its file system does not work on this host now: see `dmesg`, and mount it anew")
    return fail(subject, state, "make it readable for root and the gateway's account")
