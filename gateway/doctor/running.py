"""Check what `run`, `shell` and git need, and report how their programs are limited."""

from __future__ import annotations

from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.errors import EncError
from gateway.sandbox import cgroups, syscall_filter
from gateway.sandbox.network import nat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(target: Target) -> Iterator[Finding]:
    config = target.config
    if not config.run_commands and config.run_network == "none":
        yield ok("run", "switched off")
        return
    try:
        syscall_filter.compile_filter()
        yield ok("run", "programs get a system call filter")
    except EncError as error:
        yield fail("run", str(error), error.hint)
    yield _limits(target)
    if isinstance(config.run_network, tuple):
        yield ok("run --net", f"a proxy reaches {', '.join(config.run_network)}, and nothing else")
    elif config.run_network == "nat":
        try:
            nat.require()
        except EncError as error:
            yield fail("run --net", str(error), error.hint)
        else:
            yield ok("run --net", "slirp4netns and /dev/net/tun are available")


def _limits(target: Target) -> Finding:
    subject, lack = "limits of programs", cgroups.unavailable(target.uid)
    if not lack:
        return ok(subject, "a cgroup (v2) for each program, and rlimits")
    state = f"rlimits of each process only: {lack}"
    if not target.config.run_memory:
        return ok(subject, f"{state}; run.memory sets no limit anyway")
    fix = "apt install libpam-systemd dbus-user-session, on a host that runs systemd; else set run.commands = []"
    return warn(subject, f"{state}; all memory of a program together has no limit", fix)
