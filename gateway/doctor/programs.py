"""Check the programs that the gateway runs: present, new enough, without a known vulnerability."""

from __future__ import annotations

import os
import re
import stat

from gateway.base import process
from gateway.base.records import Record
from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.sandbox import bubblewrap, transfer
from gateway.vault import defects, gocryptfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SSH = "/usr/bin/ssh"
_DPKG_QUERY = "/usr/bin/dpkg-query"


class Requirement(Record):
    """A program, its package, its option that prints the version, the oldest version that works, and the reason."""

    program: str
    package: str
    version_option: str
    oldest: tuple[int, int]
    because: str


REQUIREMENTS = (
    Requirement(
        program=gocryptfs.PROGRAM,
        package="gocryptfs",
        version_option="-version",
        oldest=(2, 2),
        because="older ones cannot serve a mount passed as /dev/fd/N",
    ),
    Requirement(
        program=bubblewrap.BWRAP,
        package="bubblewrap",
        version_option="--version",
        oldest=(0, 8),
        because="older ones lack --disable-userns, which keeps programs from making namespaces",
    ),
    Requirement(
        program=_SSH,
        package="openssh-server",
        version_option="-V",
        oldest=(9, 2),
        because="older ones do not know UnusedConnectionTimeout",
    ),
)

_PATCHED = {r"\+deb12u(\d+)": 3, r"-3ubuntu13\.(\d+)": 3}
"""Package revisions in which Debian 12 (DSA-5724) and Ubuntu 24.04 (USN-6859) fixed CVE-2024-6387 (sshd 8.5p1 to 9.7p1:
a race in a signal handler before the login) without a new version.
"""
_FIXED_UPSTREAM = (9, 8)


def check(_: Target) -> Iterator[Finding]:
    for required in REQUIREMENTS:
        yield _version(required)
    if os.access(gocryptfs.PROGRAM, os.X_OK):
        yield from _defects(gocryptfs.version_text())
    for name, path in transfer.PROGRAMS.items():
        if not os.access(path, os.X_OK):
            yield fail(name, f"{path} is missing", f"apt install {transfer.PACKAGES[name]}")
    if os.path.exists(bubblewrap.BWRAP) and os.stat(bubblewrap.BWRAP).st_mode & stat.S_ISUID:
        fix = f"chmod u-s {bubblewrap.BWRAP}: user namespaces need no setuid, and CVE-2020-5291 was a hole of that mode"
        yield warn("bubblewrap", "is setuid root", fix)
    yield from _cve_2024_6387(_version_text(_SSH, "-V"), _package_version("openssh-server"))


def _version(required: Requirement) -> Finding:
    if not os.access(required.program, os.X_OK):
        return fail(required.package, f"{required.program} is missing", f"apt install {required.package}")
    text = _version_text(required.program, required.version_option)
    version = _numbers(text)
    if version < required.oldest:
        oldest = ".".join(map(str, required.oldest))
        return fail(required.package, text, f"install {oldest} or newer: {required.because}")
    return ok(required.package, text)


def _defects(text: str) -> Iterator[Finding]:
    """What this version of gocryptfs does wrong. It is no warning: the gateway guards against it by itself."""
    for defect in defects.found(defects.parse(text)):
        fixed = f"fixed in {'.'.join(map(str, defect.fixed))}" if defect.fixed else "in every released version"
        yield ok("gocryptfs", f"{defect.guard}. The reason is a defect ({fixed}): {defect.what}")


def _cve_2024_6387(version: str, package: str) -> Iterator[Finding]:
    if not (8, 5) <= _numbers(version) < _FIXED_UPSTREAM:
        return
    for pattern, revision in _PATCHED.items():
        if (found := re.search(pattern, package)) and int(found[1]) >= revision:
            return
    yield warn("openssh-server", f"{package or version} may have CVE-2024-6387", "apt upgrade openssh-server")


def _version_text(program: str, option: str) -> str:
    """What a program prints about its version, up to the first separator."""
    if not os.access(program, os.X_OK):
        return ""
    text = process.run([program, option])[1].strip()
    return re.split(r"[;,\n]", text)[0] if text else "it prints no version"


def _numbers(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _package_version(package: str) -> str:
    if not os.access(_DPKG_QUERY, os.X_OK):
        return ""
    status, output = process.run([_DPKG_QUERY, "-W", "-f", "${Version}", package])
    return "" if status else output.strip()
