"""What a front may use of the host (setrlimit(2)), whoever calls it. A session has other needs, hence `lift`."""

from __future__ import annotations

import resource

MEMORY = 512 * 1024 * 1024
"""Bytes of writable memory. A front takes 10 MiB, the gocryptfs that makes a vault 100."""
CPU = 300
"""Seconds of processor time: weeks of typing at the prompt."""


def impose() -> None:
    """No core dump, of this process or what it starts; memory and processor time within bounds. As many descriptors as
    the host lets us have, which is what a session's programs may not (gateway.sandbox.bubblewrap).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    _soft(resource.RLIMIT_DATA, MEMORY)
    _soft(resource.RLIMIT_CPU, CPU)


def lift() -> None:
    """Before this process becomes a session: its work is the user's, as long as it takes."""
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def _soft(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
