"""inotify's limits against the sessions that are expected."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Patient, ok, warn
from gateway.install.inotify import current, needed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WHY = {
    "max_user_instances": "a session without one falls back to I/O counters and polling",
    "max_user_watches": "a project with more directories falls back to I/O counters",
}


def check(patient: Patient) -> Iterator[Finding]:
    """One instance a session; one watch a directory of an unlocked project (inotify(7)), counted per account."""
    for name, limit in needed(patient.sessions).items():
        subject = f"fs.inotify.{name}"
        state = f"{current(name)} for {patient.sessions} sessions"
        if current(name) < limit:
            yield warn(subject, state, f"enc-gateway setup --sessions {patient.sessions}: {_WHY[name]}")
        else:
            yield ok(subject, state)
