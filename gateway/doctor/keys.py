"""authorized_keys: would sshd read it, and is every line of it one that lets somebody in?"""

from __future__ import annotations

import os

from gateway import authorized_keys
from gateway.doctor.finding import Finding, Patient, fail, ok, warn
from gateway.errors import Misconfigured
from gateway.names import Principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(patient: Patient) -> Iterator[Finding]:
    path = patient.config.paths_authorized_keys
    try:
        entries = authorized_keys.load(path)
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
        found = os.stat(path)
    except (Misconfigured, OSError) as error:
        yield fail("keys", str(error), "until it can be read nobody gets in, and live sessions end")
        return
    if found.st_mode & 0o022 or found.st_uid not in (0, os.geteuid()):
        # StrictModes: sshd says so in its own log alone
        yield fail(
            "keys", f"{path} can be changed by others than root: sshd ignores it", f"chown root, chmod 0644 {path}"
        )
    known = {entry.line for entry in entries}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#") and number not in known:
            yield fail("keys", f"{path}, line {number}: no key that is let in", "Ed25519 or sk-Ed25519, as in *.pub")
    for entry in entries:
        if entry.principal and not Principal.accepts(entry.principal):
            yield fail("keys", f"{path}, line {entry.line}: ENC_USER is not valid", f"use {Principal.rule}")
    if entries:
        yield ok("keys", f"{len(entries)} keys")
    else:
        yield warn("keys", f"{path} has no key: nobody can log in", "add a line for each key")
