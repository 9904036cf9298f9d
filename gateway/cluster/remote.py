"""What a sysadmin decides about a host of the cluster, perhaps another one: files of that host's on the store."""

from __future__ import annotations

import contextlib
import os

from gateway.base import files
from gateway.cluster import host_record, places
from gateway.errors import Misconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cluster.host_record import HostRecord
    from gateway.config.schema import Config
    from gateway.identity.names import HostName


def set_drained(config: Config, host: HostName, drained: bool) -> bool:
    """Let nothing new begin on `host`, or end that; it follows within 2 s. Returns whether it was drained. Raises
    Misconfigured.
    """
    path = os.path.join(config.cluster_directory, places.DRAINED, host)
    try:
        was = os.path.lexists(path)
        if drained and not was:
            files.replace(path, b"", 0o644)
        elif not drained:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written", error.strerror) from error
    return was


def forget_sessions(config: Config, record: HostRecord) -> None:
    """Take back what a host that was put out has said of its sessions: nobody is sent there any more. It says it anew
    when it is back; until then, what stands there is no word of its own. Raises Misconfigured.
    """
    path = places.record(config, record.host)
    try:
        files.replace(path, host_record.dumps(record.replace(sessions=(), is_evicted=True)), 0o600, durable=False)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written", error.strerror) from error
