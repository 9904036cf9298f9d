"""FUSE and user namespaces, for the gateway's account."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Patient, fail, ok
from gateway.errors import EncError
from gateway.host import fuse, userns
from gateway.sandbox import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(_: Patient) -> Iterator[Finding]:
    for subject, look, state in (
        ("FUSE", fuse.ready, f"{paths.FUSE} is open to the account"),
        ("user namespaces", userns.ready, "bubblewrap makes a sandbox as an ordinary account"),
    ):
        try:
            look(repair=False)
        except EncError as error:
            yield fail(subject, str(error), error.hint)
        else:
            yield ok(subject, state)
