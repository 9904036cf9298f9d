"""What `run`, `shell` and git need, and by which means their programs are limited."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Patient, fail, ok
from gateway.errors import EncError
from gateway.sandbox import cgroups, network, syscall_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    if not config.run_commands and config.run_network == "none":
        yield ok("run", "switched off")
        return
    try:
        yield ok("run", f"the system call filter can be made ({len(syscall_filter.compile_filter())} bytes)")
    except EncError as error:
        yield fail("run", str(error), error.hint)
    yield _limits(patient)
    if config.run_network != "none":
        try:
            network.require()
        except EncError as error:
            yield fail("run --net", str(error), error.hint)
        else:
            yield ok("run --net", "slirp4netns and its device are there")


def _limits(patient: Patient) -> Finding:
    subject = "limits of programs"
    if lack := cgroups.unavailable(patient.uid):
        return ok(subject, f"rlimits, each process for itself, and no cgroup for a program as a whole: {lack}")
    return ok(subject, "a cgroup (v2) for each program as a whole, from the systemd of the account; and rlimits")
