"""/dev/fuse, which the gateway's account has to open.

udev gives it mode 0666, the kernel alone 0600. Opening it grants nothing: mount(2) decides what a mount may do.
"""

from __future__ import annotations

import os
import stat

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.sandbox.paths import FUSE

_MODE = 0o666
_MODPROBE = "/usr/sbin/modprobe"


def is_restricted() -> bool:
    """Whether the device exists and ordinary accounts cannot open it."""
    return os.path.exists(FUSE) and stat.S_IMODE(os.stat(FUSE).st_mode) & _MODE != _MODE


def require(repair: bool) -> None:
    """Raise Misconfigured unless every account can open the device. With `repair`, try to fix that first."""
    if repair and not os.path.exists(FUSE) and os.access(_MODPROBE, os.X_OK):
        process.run([_MODPROBE, "fuse"])
    if not os.path.exists(FUSE):
        raise Misconfigured(
            f"{FUSE} is missing", "load the kernel's fuse module, or pass the device into this container"
        )
    if repair and is_restricted():
        os.chmod(FUSE, _MODE)
    if is_restricted():
        raise Misconfigured(f"ordinary accounts cannot open {FUSE}", f"as root: chmod 0666 {FUSE}")
