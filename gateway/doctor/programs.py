"""What we run: is it there, is it new enough, does it have a hole that is known?"""

from __future__ import annotations

import os
import re
import stat

from gateway.base import process
from gateway.base.records import Record
from gateway.doctor.finding import Finding, Patient, fail, ok, warn
from gateway.sandbox import bubblewrap, transfer
from gateway.vault import gocryptfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SSH = "/usr/bin/ssh"
_DPKG_QUERY = "/usr/bin/dpkg-query"


class Wanted(Record):
    """A program, its package, how it says its version, and the oldest that will do, and why."""

    program: str
    package: str
    ask: str
    oldest: tuple[int, int]
    because: str


WANTED = (
    Wanted(
        program=gocryptfs.PROGRAM,
        package="gocryptfs",
        ask="-version",
        oldest=(2, 2),
        because="it has to serve a mount that it is handed as /dev/fd/N",
    ),
    Wanted(
        program=bubblewrap.BWRAP,
        package="bubblewrap",
        ask="--version",
        oldest=(0, 8),
        because="programs must not make namespaces of their own (--disable-userns)",
    ),
    Wanted(
        program=_SSH,
        package="openssh-server",
        ask="-V",
        oldest=(9, 2),
        because="older ones do not know UnusedConnectionTimeout",
    ),
)

_PATCHED = {r"\+deb12u(\d+)": 3, r"-3ubuntu13\.(\d+)": 3}
"""CVE-2024-6387 (sshd up to 9.7p1: a signal handler's race before the login): the revisions in which Debian 12
(DSA-5724) and Ubuntu 24.04 (USN-6859) mended it without a new version.
"""
_RACE_FIXED = (9, 8)


def check(_: Patient) -> Iterator[Finding]:
    for wanted in WANTED:
        yield _version(wanted)
    for name, path in transfer.PROGRAMS.items():
        if not os.access(path, os.X_OK):
            yield fail(name, f"{path} is missing", f"apt install {transfer.PACKAGES[name]}")
    if os.path.exists(bubblewrap.BWRAP) and os.stat(bubblewrap.BWRAP).st_mode & stat.S_ISUID:
        fix = f"chmod u-s {bubblewrap.BWRAP}: user namespaces do without, and CVE-2020-5291 was a hole of that mode"
        yield warn("bubblewrap", "is setuid root", fix)
    yield from _race(_said(_SSH, "-V"), _package_version("openssh-server"))


def _version(wanted: Wanted) -> Finding:
    if not os.access(wanted.program, os.X_OK):
        return fail(wanted.package, f"{wanted.program} is missing", f"apt install {wanted.package}")
    said = _said(wanted.program, wanted.ask)
    version = _numbers(said)
    if version < wanted.oldest:
        oldest = ".".join(map(str, wanted.oldest))
        return fail(wanted.package, said, f"it takes {oldest} or newer: {wanted.because}")
    return ok(wanted.package, said)


def _race(said: str, package: str) -> Iterator[Finding]:
    if not (8, 5) <= _numbers(said) < _RACE_FIXED:
        return
    for pattern, revision in _PATCHED.items():
        if (found := re.search(pattern, package)) and int(found[1]) >= revision:
            return
    yield warn("openssh-server", f"{package or said} may have CVE-2024-6387", "apt upgrade openssh-server")


def _said(program: str, ask: str) -> str:
    """The first words that a program says about its version."""
    if not os.access(program, os.X_OK):
        return ""
    said = process.run([program, ask])[1].strip()
    return re.split(r"[;,\n]", said)[0] if said else "it does not say its version"


def _numbers(said: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _package_version(package: str) -> str:
    if not os.access(_DPKG_QUERY, os.X_OK):
        return ""
    status, said = process.run([_DPKG_QUERY, "-W", "-f", "${Version}", package])
    return "" if status else said.strip()
