"""What an execution may take, as a front says it and gateway.sandbox.execution sees to it."""

from __future__ import annotations

from gateway.base.records import Record


class Limits(Record):
    """Of an execution; 0 for none. `processes` counts all of it, `memory` (MiB of private data), `cpu` (seconds) and
    `file_size` (MiB) are for each process; `tmpfs` (MiB) for each of PRIVATE. Root's own accounting sees the rest.
    """

    processes: int
    memory: int
    cpu: int
    file_size: int
    tmpfs: int
