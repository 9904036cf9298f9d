"""The limits of an execution: a front asks for them, gateway.sandbox.execution applies them."""

from __future__ import annotations

from gateway.base.records import Record


class Limits(Record):
    """The limits of an execution; 0 for none.

    `processes` is for all its processes together. `memory` (MiB of private data), `cpu` (seconds) and `file_size` (MiB)
    are for each process, `tmpfs` (MiB) for each of TMPFS_PATHS.
    """

    processes: int
    memory: int
    cpu: int
    file_size: int
    tmpfs: int
