"""Check that inotify's limits are enough for the expected number of sessions."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Target, ok, warn
from gateway.install.inotify import current, needed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CONSEQUENCES = {
    "max_user_instances": "projects without an instance use I/O counters",
    "max_user_watches": "projects with more directories use I/O counters",
}


def check(target: Target) -> Iterator[Finding]:
    """An unlocked project takes an instance, each of its directories a watch. Both count per account (inotify(7))."""
    for name, limit in needed(target.sessions).items():
        subject = f"fs.inotify.{name}"
        state = f"{current(name)} for {target.sessions} sessions"
        if current(name) < limit:
            yield warn(subject, state, f"enc-gateway setup --sessions {target.sessions}: {_CONSEQUENCES[name]}")
        else:
            yield ok(subject, state)
