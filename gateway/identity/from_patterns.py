"""From where a key may be used: the pattern list of `from=`, as sshd reads it (OpenSSH, match.c and addrmatch.c).

sshd enforces it, so nothing here lets anybody in; this tells what sshd would say.
"""

from __future__ import annotations

import ipaddress
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address(text: str) -> Address | None:
    """An IP address in any spelling that getaddrinfo(3) takes for one, as sshd does; None for no address."""
    try:
        found = socket.getaddrinfo(text, None, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)
        return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])
    except (OSError, ValueError):
        return None


def against(patterns: str, origin: str) -> str:
    """What sshd has against somebody who comes from the address `origin`; "" for nothing.

    Names of hosts are not asked for: sshd does so only with `UseDNS yes`, and else takes the address for the name.
    """
    here = address(origin)
    normal = str(here) if here else origin
    by_address = False
    for pattern in patterns.split(","):
        wanted = pattern.removeprefix("!")
        matches = _is_in(here, normal, wanted)
        if matches is None:
            return f"from= cannot be read at {pattern or 'an empty item'}, so nobody gets in by this line"
        if matches and wanted != pattern:
            return f"from= excludes {normal} by {pattern}"
        by_address = by_address or matches
    by_name = [pattern for pattern in patterns.split(",") if _fits(normal.lower(), pattern.removeprefix("!").lower())]
    if excluded := next((pattern for pattern in by_name if pattern.startswith("!")), ""):
        return f"from= excludes {normal} by {excluded}"
    return "" if by_address or by_name else f"from= has no pattern for {normal}"


def _is_in(here: Address | None, normal: str, pattern: str) -> bool | None:
    """Whether the address is in the network, or fits the wildcards, of `pattern`; None for one sshd cannot read."""
    if not pattern:
        return None
    base, slash, bits = pattern.partition("/")
    network = address(base) if base and not (slash and not (bits.isascii() and bits.isdigit())) else None
    if network is None or int(bits or 0) > 128:
        return _fits(normal, pattern)
    length = int(bits) if slash else network.max_prefixlen
    if length > network.max_prefixlen:
        return None
    try:
        whole = ipaddress.ip_network((int(network), length) if network.version == 4 else (network.packed, length))
    except ValueError:  # bits set beyond the mask
        return None
    return here is not None and here in whole


def _fits(text: str, pattern: str) -> bool:
    """`*` is any number of characters, `?` one; everything else is itself."""
    import re

    words = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(words, text, re.DOTALL) is not None
