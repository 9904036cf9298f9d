"""inotify's limits, in /etc/sysctl.d and at once. Never lowered: another program may have asked for more."""

from __future__ import annotations

import os

from gateway.install.files import File, read

PATH = "/etc/sysctl.d/50-enc.conf"
_PROC = "/proc/sys/fs/inotify"
_HEADER = "# From enc-gateway setup: file I/O in projects is followed with inotify.\n"


def needed(sessions: int) -> dict[str, int]:
    """What so many live sessions take of each limit: an instance each, a watch for each directory that is unlocked
    (reckoned with a thousand a session), and some instances for whatever else the account runs.
    """
    return {"max_user_instances": sessions + 28, "max_user_watches": 1000 * sessions}


def current(name: str) -> int:
    """The limit that holds now."""
    with open(f"{_PROC}/{name}", encoding="ascii") as file:
        return int(file.read())


class InotifyLimits(File):
    """Those limits that this host has too low, and those that the file has raised already."""

    def __init__(self, sessions: int) -> None:
        there = read(PATH) or ""
        self._limits = {
            name: limit
            for name, limit in needed(sessions).items()
            if current(name) < limit or f"inotify.{name} " in there
        }
        lines = (f"fs.inotify.{name} = {limit}\n" for name, limit in self._limits.items())
        super().__init__(PATH, _HEADER + "".join(lines))

    def missing(self) -> str:
        return super().missing() if self._limits else ""

    def apply(self) -> None:
        """The file, and at once. Where /proc/sys is read-only (a container), the host decides, and doctor tells."""
        super().apply()
        for name, limit in self._limits.items():
            if current(name) < limit and os.access(f"{_PROC}/{name}", os.W_OK):
                with open(f"{_PROC}/{name}", "w", encoding="ascii") as file:
                    file.write(str(limit))
