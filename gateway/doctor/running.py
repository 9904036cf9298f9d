"""Check what `run`, `shell` and git need, and report how their programs are limited."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Target, fail, ok
from gateway.errors import EncError
from gateway.sandbox import cgroups, network, syscall_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(target: Target) -> Iterator[Finding]:
    config = target.config
    if not config.run_commands and config.run_network == "none":
        yield ok("run", "switched off")
        return
    try:
        yield ok("run", f"the system call filter compiles ({len(syscall_filter.compile_filter())} bytes)")
    except EncError as error:
        yield fail("run", str(error), error.hint)
    yield _limits(target)
    if config.run_network != "none":
        try:
            network.require()
        except EncError as error:
            yield fail("run --net", str(error), error.hint)
        else:
            yield ok("run --net", "slirp4netns and /dev/net/tun are available")


def _limits(target: Target) -> Finding:
    subject = "limits of programs"
    if lack := cgroups.unavailable(target.uid):
        return ok(
            subject, f"rlimits of each process only; without a cgroup, a program's total memory is unlimited: {lack}"
        )
    return ok(subject, "a cgroup (v2) for each program, and rlimits")
