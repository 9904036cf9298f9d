"""What the keys of a cluster may be: each by itself, and all of them together."""

from __future__ import annotations

from gateway.identity.names import HostName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ("cluster.directory", "cluster.host", "cluster.address")
"""All of them are set on a host of a cluster, and none on a host that is alone."""


def problem(name: str, value: str) -> str:
    """Why the key `name` of KEYS cannot be `value`; "" if it can."""
    if not value:
        return ""
    if name == "cluster.directory":
        return "" if value.startswith("/") else "must be an absolute path"
    if name == "cluster.host":
        return "" if HostName.accepts(value) else f"must be a name: {HostName.rule}"
    from gateway.config import targets  # most hosts are alone

    if value.startswith("*"):
        return 'must be the name and port of one host, as in "gw1.example.org:22"'
    return targets.problem(value).replace("example.org:443", "gw1.example.org:22")


def incomplete(given: Mapping[str, object]) -> str:
    """What is wrong with `given`, the values of keys by name, as a whole: one of KEYS lacks others. Else ""."""
    there = [name for name in KEYS if given.get(name)]
    missing = [name for name in KEYS if name not in there]
    return f"{there[0]} is set, but not {' and '.join(missing)}; set all three, or none" if there and missing else ""
