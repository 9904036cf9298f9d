"""What `run.network` may list: NAME:PORT, *.NAME:PORT, ADDRESS:PORT and [ADDRESS]:PORT."""

from __future__ import annotations

import _socket  # the C module behind `socket`, which costs each request 7 ms

_MOST = 253
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def problem(target: str) -> str:
    """Why `target` is none; "" if it is one."""
    host, _, port = target.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        return 'needs a port, as in "example.org:443"'
    if port[0] == "0" or len(port) > 5 or int(port) > 65535:
        return "needs a port from 1 to 65535"
    if host.startswith("[") or ":" in host:
        is_address = host[:1] + host[-1:] == "[]" and _is_address(_socket.AF_INET6, host[1:-1])
        return "" if is_address else 'must have an IPv6 address in brackets, as in "[2001:db8::1]:443"'
    *_, last = labels = host.split(".")
    if last.isdigit() or last[:2].lower() == "0x":  # whoever resolves it reads an address
        return "" if _is_address(_socket.AF_INET, host) else "has no valid address"
    if labels[0] == "*":
        labels = labels[1:]
        if not labels:
            return 'must name a domain: for the whole network write run.network = "nat"'
    if "*" in "".join(labels):
        return 'may have one * alone, as the first part, as in "*.example.org:443"'
    if len(host) > _MOST or not all(
        0 < len(one) < 64 and _LABEL.issuperset(one) and not one.startswith("-") for one in labels
    ):
        return "has no valid name: letters, digits, - and . (a name in another script: as DNS has it, xn--...)"
    return ""


def _is_address(family: int, text: str) -> bool:
    try:
        _socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True
