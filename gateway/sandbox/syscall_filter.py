"""Compile the system call filter of executions, once per boot: the result is cached in the run directory.

The rules are in `gateway.sandbox.seccomp_rules`. A file in the run directory can be trusted as much as the records of
sessions there: only the gateway's account can write it.
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


def open_filter(run: str) -> Fd:
    """The compiled filter's descriptor, for bwrap's --seccomp; the caller closes it. Raises Misconfigured, OSError."""
    path = _path(run)
    try:
        return Fd(files.open_regular(path))
    except (FileNotFoundError, files.Irregular):
        _cache(path, compile_filter())
        return Fd(files.open_regular(path))


def _path(run: str) -> str:
    """The cached file. Its name has a hash of the rules, so that another version of the gateway uses another file."""
    with open(seccomp_rules.__file__, "rb") as file:
        return os.path.join(run, f"filter-{sha256(file.read()).hexdigest()[:16]}.bpf")


def compile_filter() -> bytes:
    """The filter as a BPF program. Raises Misconfigured if the host's Python has no libseccomp binding."""
    process.require(PYTHON, "python3")
    output = os.memfd_create("filter")
    try:
        status, _ = process.run([PYTHON, "-I", seccomp_rules.__file__, str(output)], [output])
        program = os.pread(output, 1 << 20, 0)
    finally:
        os.close(output)
    if status or not program:
        raise Misconfigured(
            "the gateway cannot compile its system call filter", f"a sysadmin can: apt install {PACKAGE}"
        )
    return program


def _cache(path: str, program: bytes) -> None:
    try:
        files.replace(path, program, durable=False)
    except OSError as error:
        raise Misconfigured("the gateway cannot write its run directory", error.strerror) from error
