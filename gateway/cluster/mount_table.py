"""The mounts that this process sees (proc(5), /proc/self/mounts)."""

from __future__ import annotations

import os

from gateway.base.records import Record

_NAMES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


class Mount(Record):
    """A file system of type `kind`, mounted at `point` with `options`."""

    point: str
    kind: str
    options: tuple[str, ...] = ()


def of(path: str) -> Mount:
    """The mount that `path` is on. It may wait for that file system, where links are looked for."""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace", newline="\n") as file:
        return find(file.read(), os.path.realpath(path))


def find(table: str, path: str) -> Mount:
    """The last one in `table`, the text of /proc/self/mounts, of those nearest to `path`, which has no links."""
    best = Mount(point="", kind="")
    for line in filter(None, table.split("\n")):  # a name may have what else ends a line in Unicode
        _, point, kind, options, *_ = line.split(" ")
        for code, name in _NAMES.items():
            point = point.replace(code, name)
        if os.path.commonpath((point, path)) == point and len(point) >= len(best.point):
            best = Mount(point=point, kind=kind, options=tuple(options.split(",")))
    return best
