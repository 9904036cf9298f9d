"""The compiled system call filter, kept for as long as the run directory is: one compilation a boot.

The rules are in `gateway.sandbox.seccomp_rules`. A file in the run directory is as trustworthy as a session's record
there: both belong to the gateway's account alone.
"""

from __future__ import annotations

import os

from gateway.base import files, process
from gateway.base.records import Fd
from gateway.base.sha256 import sha256
from gateway.errors import Misconfigured
from gateway.sandbox import seccomp_rules

PYTHON = "/usr/bin/python3"
PACKAGE = "python3-seccomp"


def descriptor(run: str) -> Fd:
    """The filter as bwrap takes it, open for reading; the caller closes it. Raises Misconfigured."""
    path = _path(run)
    try:
        return Fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except FileNotFoundError:
        _keep(path, compiled())
        return Fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))


def _path(run: str) -> str:
    """Named after the rules, so that those of another version of this gateway are not taken for ours."""
    with open(seccomp_rules.__file__, "rb") as file:
        return os.path.join(run, f"filter-{sha256(file.read()).hexdigest()[:16]}.bpf")


def compiled() -> bytes:
    """The BPF program. Raises Misconfigured when this host has no libseccomp for its Python."""
    process.require(PYTHON, "python3")
    output = os.memfd_create("filter")
    try:
        status, _ = process.run([PYTHON, "-I", seccomp_rules.__file__, str(output)], [output])
        program = os.pread(output, 1 << 20, 0)
    finally:
        os.close(output)
    if status or not program:
        raise Misconfigured("the gateway cannot make its system call filter", f"a sysadmin can: apt install {PACKAGE}")
    return program


def _keep(path: str, program: bytes) -> None:
    try:
        files.replace(path, program, durable=False)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
