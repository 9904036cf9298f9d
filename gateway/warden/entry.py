"""The warden's whole run, from its Spec in a descriptor to its exit status."""

from __future__ import annotations

from gateway.base import syscalls
from gateway.session.spec import read_spec
from gateway.warden.warden import Warden


def main(spec_fd: int) -> int:
    """The warden's whole run: the one place where the unforeseen ends up. It locks what it can and returns 70."""
    syscalls.drop_inheritable_capabilities()
    syscalls.disable_core_dumps()
    warden = Warden(read_spec(spec_fd))
    try:
        status = warden.run()
    except Exception as fault:
        status = warden.fail(fault)
    warden.finish(status)
    return status
