"""Delaying a suspend until everything is locked, with an inhibitor lock of systemd-logind. Without logind, no effect.

systemd-inhibit delays the suspend (5 s at most by default) while gdbus runs, which prints logind's signal
PrepareForSleep. Both are stock programs of a systemd desktop.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

_LOGIND = "org.freedesktop.login1"
_INHIBIT = ("systemd-inhibit", "--what=sleep", "--mode=delay", "--who=enc", "--why=locks what is unlocked")
_PROGRAMS = ("setpriv", "systemd-inhibit", "gdbus")
_ARGV = [
    *("setpriv", "--pdeathsig", "TERM"),
    *_INHIBIT,
    *("gdbus", "monitor", "--system", "--dest", _LOGIND, "--object-path", "/org/freedesktop/login1"),
]
_SYSTEMD = "/run/systemd/system"
_ANNOUNCEMENT = b"PrepareForSleep (true"


def why_unavailable() -> str | None:
    """Why a suspend cannot be delayed on a machine with logind; "" when it can, None without logind."""
    if not shutil.which("systemd-inhibit"):
        return None
    tried = subprocess.run([*_INHIBIT, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"logind refuses it: {tried.stderr.strip()}" if os.path.isdir(_SYSTEMD) else None
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    return f"{' and '.join(missing)} is missing" if missing else ""


class SleepInhibitor:
    """Delays a suspend until `close` is called. `descriptors` become readable when `is_sleep_near` may have changed."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._output = b""
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

    def is_sleep_near(self) -> bool:
        """Whether logind has announced a suspend. Never blocks."""
        for fd in self.descriptors:
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(fd, 65536)
                if not chunk:  # gdbus has ended: no logind, or no bus
                    self.close()
                self._output = (self._output + chunk)[-4096:]
        return _ANNOUNCEMENT in self._output

    def close(self) -> None:
        if self._child:
            self._child.terminate()
            self._child.wait()
            if self._child.stdout:
                self._child.stdout.close()
            self._child = None
