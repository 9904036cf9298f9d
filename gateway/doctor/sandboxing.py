"""Check that the gateway's account can use FUSE and user namespaces."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Target, fail, ok
from gateway.errors import EncError
from gateway.host import fuse, userns
from gateway.sandbox import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(_: Target) -> Iterator[Finding]:
    for subject, require, state in (
        ("FUSE", fuse.require, f"the account can open {paths.FUSE}"),
        ("user namespaces", userns.require, "an ordinary account can make a sandbox with bubblewrap"),
    ):
        try:
            require(repair=False)
        except EncError as error:
            yield fail(subject, str(error), error.hint)
        else:
            yield ok(subject, state)
