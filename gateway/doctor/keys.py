"""authorized_keys: would sshd read it, and does every line of it do what was meant? By the rules of `key lint`."""

from __future__ import annotations

import time

from gateway.doctor.finding import Finding, Patient, fail, ok, warn
from gateway.errors import Misconfigured
from gateway.identity import authorized_keys, lint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIX = "put the line right, or remove it"


def check(patient: Patient) -> Iterator[Finding]:
    """Errors one by one; of warnings how many there are: lines that somebody wrote and that work are no fault."""
    path = patient.config.paths_authorized_keys
    try:
        entries = authorized_keys.load(path)
        found = lint.examine(path, time.time())
    except (Misconfigured, OSError) as error:
        yield fail("keys", str(error), "until it can be read nobody gets in, and live sessions end")
        return
    errors = [one for one in found if one.level is lint.Level.ERROR]
    for one in errors:
        yield fail("keys", one.located(path), one.fix or _FIX)
    remarks = len(found) - len(errors)
    if not entries:
        yield warn("keys", f"{path} has no key: nobody can log in", "add a line for each key")
    else:
        said = f", and {remarks} remarks on them by `enc-gateway key lint`" if remarks else ""
        yield ok("keys", f"{len(entries)} keys{said}")
