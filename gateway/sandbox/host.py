"""Whether the host lets us make a sandbox with FUSE in it."""

from __future__ import annotations

import os

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap, paths


def require_host() -> None:
    """Raise Misconfigured, saying what to do, unless this host lets us make a sandbox with FUSE in it."""
    process.require(bubblewrap.BWRAP, "bubblewrap")
    if not os.path.exists(paths.FUSE):
        raise Misconfigured(f"the gateway's host has no FUSE ({paths.FUSE})", "a sysadmin can: modprobe fuse")
    if not os.access(paths.FUSE, os.R_OK | os.W_OK):
        raise Misconfigured(
            "the gateway's host refuses FUSE to this account", f"a sysadmin can: chmod 0666 {paths.FUSE}"
        )
    if process.run(bubblewrap.trial_argv(), seconds=10)[0]:
        raise Misconfigured(
            "the gateway's host refuses bubblewrap its user namespaces",
            "a sysadmin can look at sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and"
            " kernel.apparmor_restrict_unprivileged_userns",
        )
