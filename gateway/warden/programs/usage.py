"""What counts as use of a view by a program that `run`, `shell` or git started, beside file I/O: data that passes
between it and the user, and processor time. The rules, without effects; times are CLOCK_BOOTTIME, in seconds.

git counts like the others: it maps packs, of which no event tells, and holds a large object that is pushed in memory
until all of it has come.

A program that only exists is no use: a shell at its prompt, `sleep`, a server that waits, a stopped job. Measured over
40 s, all processes of a program together: those and an idle Python 0.00 to 0.03 % of a processor, `top` 0.03 % (it
prints, which is use), `while sleep 1; do :; done` 0.1 %, and a build, starved by ten others on two cores, 35 %.
"""

from __future__ import annotations

SHARE = 0.01
"""Of one processor, over a window: more is use."""


class Usage:
    """The last activity of one program: its `kind` ("start", "data" or "processor"), and when it was (`at`)."""

    def __init__(self, now: float) -> None:
        self.kind = "start"
        self.at = now
        self._window_began = now
        self._used_before = 0.0

    def note_data(self, at: float) -> bool:
        """Data last passed at `at`. Returns whether that is its last activity now."""
        if at <= self.at:
            return False
        self.kind, self.at = "data", at
        return True

    def note_processor(self, now: float, used: float, window: float) -> bool:
        """It has used `used` seconds of processor time so far. Returns whether that is its last activity now.

        This is to be called every `window` seconds, and may be called in between: what would be too much for a whole
        window counts at once.
        """
        elapsed = now - self._window_began
        is_use = used - self._used_before > SHARE * max(elapsed, window)
        if is_use:
            self.kind, self.at = "processor", now
        if is_use or elapsed >= window:
            self._window_began, self._used_before = now, used
        return is_use
