"""Check that the host permits a sandbox with FUSE."""

from __future__ import annotations

import os

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap, paths


def require_host() -> None:
    """Raise Misconfigured, with a hint for the sysadmin, unless this host permits a sandbox with FUSE."""
    process.require(bubblewrap.BWRAP, "bubblewrap")
    if not os.path.exists(paths.FUSE):
        raise Misconfigured(f"the gateway's host has no FUSE ({paths.FUSE})", "a sysadmin can: modprobe fuse")
    if not os.access(paths.FUSE, os.R_OK | os.W_OK):
        raise Misconfigured(
            f"the gateway's account may not use {paths.FUSE}", f"a sysadmin can: chmod 0666 {paths.FUSE}"
        )
    if process.run(bubblewrap.probe_argv(), seconds=10)[0]:
        raise Misconfigured(
            "the gateway's host does not let bubblewrap create user namespaces",
            "a sysadmin can check sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and"
            " kernel.apparmor_restrict_unprivileged_userns",
        )
