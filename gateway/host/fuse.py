"""/dev/fuse: there, and open to the gateway's account.

udev makes it 0666, the kernel alone 0600. Opening it gives no power: what a mount may do is decided at mount(2).
"""

from __future__ import annotations

import os
import stat

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.sandbox.paths import FUSE

_OPEN = 0o666
_MODPROBE = "/usr/sbin/modprobe"


def closed() -> bool:
    """Whether the device is there and ordinary accounts cannot open it."""
    return os.path.exists(FUSE) and stat.S_IMODE(os.stat(FUSE).st_mode) & _OPEN != _OPEN


def ready(repair: bool) -> None:
    """Raise Misconfigured unless the device can be used by everybody; with `repair`, after trying to make it so."""
    if repair and not os.path.exists(FUSE) and os.access(_MODPROBE, os.X_OK):
        process.run([_MODPROBE, "fuse"])
    if not os.path.exists(FUSE):
        raise Misconfigured(
            f"{FUSE} is missing", "load the kernel's fuse module, or pass the device into this container"
        )
    if repair and closed():
        os.chmod(FUSE, _OPEN)
    if closed():
        raise Misconfigured(f"{FUSE} is closed to ordinary accounts", f"as root: chmod 0666 {FUSE}")
