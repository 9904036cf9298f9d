"""Learning of a suspend before it happens, where systemd-logind is on the system bus; elsewhere, silently, nothing.

systemd-inhibit holds the sleep back (by logind's own limit, 5 s by default) for as long as gdbus runs, which prints
the signal PrepareForSleep. Both are stock programs of a systemd desktop.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

_LOGIND = "org.freedesktop.login1"
_HOLD = ("systemd-inhibit", "--what=sleep", "--mode=delay", "--who=enc", "--why=locks what is unlocked")
_PROGRAMS = ("setpriv", "systemd-inhibit", "gdbus")
_ARGV = [
    *("setpriv", "--pdeathsig", "TERM"),
    *_HOLD,
    *("gdbus", "monitor", "--system", "--dest", _LOGIND, "--object-path", "/org/freedesktop/login1"),
]
_SYSTEMD = "/run/systemd/system"
_SIGN = b"PrepareForSleep (true"


def obstacle() -> str | None:
    """What keeps us from learning of a suspend by logind; "" for nothing, None where there is no logind."""
    if not shutil.which("systemd-inhibit"):
        return None
    tried = subprocess.run([*_HOLD, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"logind refuses it: {tried.stderr.strip()}" if os.path.isdir(_SYSTEMD) else None
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    return f"{' and '.join(missing)} is missing" if missing else ""


class SleepSignal:
    """`descriptors` become readable when there may be news. Close it, and the machine may sleep."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._said = b""
        if all(shutil.which(program) for program in _PROGRAMS):
            with contextlib.suppress(OSError):
                self._child = subprocess.Popen(
                    _ARGV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                assert self._child.stdout is not None  # noqa: S101
                os.set_blocking(self._child.stdout.fileno(), False)

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (self._child.stdout.fileno(),) if self._child and self._child.stdout else ()

    def is_near(self) -> bool:
        """Whether logind has announced a suspend. Never waits."""
        for fd in self.descriptors:
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(fd, 65536)
                if not chunk:  # no logind, no bus
                    self.close()
                self._said = (self._said + chunk)[-4096:]
        return _SIGN in self._said

    def close(self) -> None:
        if self._child:
            self._child.terminate()
            self._child.wait()
            if self._child.stdout:
                self._child.stdout.close()
            self._child = None
