"""Resource limits of a front (setrlimit(2)). `lift` removes them when the front becomes a session."""

from __future__ import annotations

import resource

MEMORY = 512 * 1024 * 1024
"""Bytes of writable memory. A front uses 10 MiB, the gocryptfs that creates a vault 100 MiB."""
CPU = 300
"""Seconds of processor time; enough for weeks of typing at the prompt."""


def impose() -> None:
    """Limit memory and processor time, and disable core dumps, for this process and what it starts.

    The soft limit on descriptors is raised to the hard one; a session's programs get half of that, because the kernel
    counts descriptors in flight for the whole account (gateway.sandbox.execution).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    _soft(resource.RLIMIT_DATA, MEMORY)
    _soft(resource.RLIMIT_CPU, CPU)


def lift() -> None:
    """Remove the limits on memory and processor time, before this process becomes a session."""
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def lift_processor_time() -> None:
    """Remove the limit on processor time alone, in a front that passes on a client's data for as long as that likes."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


class Lifted:
    """A context in which what is started has none of these limits, but for core dumps: it works as long as the caller
    waits.
    """

    def __enter__(self) -> None:
        self._before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)}
        lift()

    def __exit__(self, *_: object) -> None:
        for kind, limits in self._before.items():
            resource.setrlimit(kind, limits)


def _soft(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
