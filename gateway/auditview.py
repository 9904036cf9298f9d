"""The audit log for people: one row an event."""

from __future__ import annotations

import json

_TYPED = ("verb", "project", "decision", "reason", "anchor", "forced", "status", "took_ms", "fault", "where")


def rows(path: str) -> list[tuple[str, ...]]:
    """Time, event, principal, address and what is particular to it, of each record. Raises OSError.

    What is no record is left out; `gateway.auditcheck` is there for that.
    """
    found = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            details = " ".join(f"{key}={record[key]}" for key in _TYPED if key in record)
            found.append((*(str(record.get(key, "")) for key in ("time", "event", "principal", "address")), details))
    return found
