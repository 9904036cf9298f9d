"""The pattern list of `from=`, as sshd reads it (OpenSSH, match.c and addrmatch.c).

sshd enforces it. This module only predicts what sshd does, for `enc-gateway why`.
"""

from __future__ import annotations

import ipaddress
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """An IP address in any form that getaddrinfo(3) accepts, as sshd does; None if `text` is not an address."""
    try:
        found = socket.getaddrinfo(text, None, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)
        return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])
    except (OSError, ValueError):
        return None


def refusal(patterns: str, origin: str) -> str:
    """Why sshd refuses a client from the address `origin`; "" if it does not.

    Host names are not looked up: sshd does that only with `UseDNS yes`, and otherwise uses the address as the name.
    """
    address = parse_address(origin)
    normal = str(address) if address else origin
    by_address = False
    for pattern in patterns.split(","):
        positive = pattern.removeprefix("!")
        matches = _matches_address(address, normal, positive)
        if matches is None:
            return f"sshd cannot read {pattern or 'an empty item'} in from=, so it accepts nobody with this line"
        if matches and positive != pattern:
            return f"from= excludes {normal} by {pattern}"
        by_address = by_address or matches
    name = normal.lower()
    by_name = [item for item in patterns.split(",") if _matches_wildcard(name, item.removeprefix("!").lower())]
    if excluded := next((item for item in by_name if item.startswith("!")), ""):
        return f"from= excludes {normal} by {excluded}"
    return "" if by_address or by_name else f"no pattern of from= matches {normal}"


def _matches_address(address: Address | None, normal: str, pattern: str) -> bool | None:
    """Whether `pattern` is a network with the address, or a wildcard that matches it; None if sshd cannot read it."""
    if not pattern:
        return None
    base, slash, bits = pattern.partition("/")
    network = parse_address(base) if base and not (slash and not (bits.isascii() and bits.isdigit())) else None
    if network is None or int(bits or 0) > 128:
        return _matches_wildcard(normal, pattern)
    length = int(bits) if slash else network.max_prefixlen
    if length > network.max_prefixlen:
        return None
    try:
        whole = ipaddress.ip_network((int(network), length) if network.version == 4 else (network.packed, length))
    except ValueError:  # bits set beyond the mask
        return None
    return address is not None and address in whole


def _matches_wildcard(text: str, pattern: str) -> bool:
    """`*` matches any number of characters, `?` one; all other characters match themselves."""
    import re

    words = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(words, text, re.DOTALL) is not None
