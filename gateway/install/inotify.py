"""inotify's limits, in /etc/sysctl.d and in the running kernel. They are only raised: other programs may need more."""

from __future__ import annotations

import os

from gateway.install.files import File, read

PATH = "/etc/sysctl.d/50-enc.conf"
_PROC = "/proc/sys/fs/inotify"
_HEADER = "# From enc-gateway setup: file I/O in projects is followed with inotify.\n"


def needed(sessions: int) -> dict[str, int]:
    """The limits for that many live sessions: an instance for each unlocked project, one assumed for a session, and 28
    for other programs of the account; a watch for each of its directories, 1,000 assumed.
    """
    return {"max_user_instances": sessions + 28, "max_user_watches": 1000 * sessions}


def current(name: str) -> int:
    """The limit in force."""
    with open(f"{_PROC}/{name}", encoding="ascii") as file:
        return int(file.read())


class InotifyLimits(File):
    """Raises the limits that are too low. Those that our file raised before stay in it."""

    def __init__(self, sessions: int) -> None:
        there = read(PATH) or ""
        self._limits = {
            name: limit
            for name, limit in needed(sessions).items()
            if current(name) < limit or f"inotify.{name} " in there
        }
        lines = (f"fs.inotify.{name} = {limit}\n" for name, limit in self._limits.items())
        super().__init__(PATH, _HEADER + "".join(lines))

    def apply_preview(self) -> str:
        return super().apply_preview() if self._limits else ""

    def apply(self) -> None:
        """Write the file and set the limits. Where /proc/sys is read-only (a container), doctor reports low limits."""
        super().apply()
        for name, limit in self._limits.items():
            if current(name) < limit and os.access(f"{_PROC}/{name}", os.W_OK):
                with open(f"{_PROC}/{name}", "w", encoding="ascii") as file:
                    file.write(str(limit))
