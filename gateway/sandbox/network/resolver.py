"""/etc/resolv.conf: that of a program with network, and the host's for what resolves names in a sandbox."""

from __future__ import annotations

import os

from gateway.sandbox import host_files

FOR_PROGRAMS = b"nameserver 10.0.2.3\n"
"""slirp4netns forwards queries to the host's resolver. Where there is no slirp4netns, nothing answers there."""

_RESOLV_CONF = "/etc/resolv.conf"


def argv() -> list[str]:
    """Show the host's resolv.conf by the directory it is in, so that a new one is seen, as it is outside."""
    *_, real = host_files.steps(_RESOLV_CONF)
    directory = os.path.dirname(real)
    if directory != "/etc" and directory.count("/") < 2:  # /run/resolv.conf, say: do not show all of /run
        return ["--ro-bind-try", real, _RESOLV_CONF] if os.access(real, os.R_OK) else []
    if not os.access(directory, os.X_OK):
        return []
    inside = "/run/resolver"
    return ["--ro-bind-try", directory, inside, "--symlink", f"{inside}/{os.path.basename(real)}", _RESOLV_CONF]
