"""What sshd really does with a login as the gateway's account: its effective configuration against the drop-in."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Patient, fail, ok, warn
from gateway.errors import Misconfigured
from gateway.host import account, sshd, sshd_template
from gateway.install.dropin import ineffective, render, require_safe_code
from gateway.install.files import read
from gateway.install.plan import CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SETUP = "enc-gateway setup"


def check(patient: Patient) -> Iterator[Finding]:
    if patient.path != CONFIG:
        return  # an embedded gateway has an sshd of its own
    if not patient.as_root:
        yield warn("sshd", "its configuration is for root to see", "sudo enc-gateway doctor")
        return
    if said := sshd.complaint():
        yield fail("sshd", f"it does not take its configuration: {said}", "sshd -t")
        return
    text = read(sshd.DROP_IN)
    if text is None:
        yield fail("sshd", f"{sshd.DROP_IN} is missing: nobody can log in", _SETUP)
        return
    yield from _drop_in(patient, text)
    yield from _who_may_log_in()
    if not sshd.serves():
        yield warn("sshd", "no sshd runs by /etc/ssh/sshd_config", "systemctl start ssh")


def _drop_in(patient: Patient, text: str) -> Iterator[Finding]:
    try:
        require_safe_code(patient.path)
    except Misconfigured as error:
        yield fail("code", str(error), error.hint)
    wrong = ineffective(text)
    for keyword, value in wrong.items():
        wanted = sshd_template.settings(text)[keyword]
        yield fail("sshd", f"{keyword} is {value or 'not set'} for {account.NAME}, not {wanted}", "sshd -T -C user=enc")
    if text != render(patient.config, patient.path):
        yield warn("sshd", f"{sshd.DROP_IN} is not what setup would write", f"{_SETUP} --dry-run")
    if not wrong:
        yield ok("sshd", f"{len(sshd_template.settings(text))} settings hold for logins as {account.NAME}")


def _who_may_log_in() -> Iterator[Finding]:
    """Lists that leave the account out turn everybody away after the key was accepted."""
    effective = sshd.effective(account.NAME)
    for keyword, bad in (("allowusers", False), ("allowgroups", False), ("denyusers", True), ("denygroups", True)):
        names = effective.get(keyword, "").split()
        if names and (account.NAME in names) == bad:
            yield warn(
                "sshd", f"{keyword} may leave {account.NAME} out: {' '.join(names)}", f"add {account.NAME} there"
            )
    if not os.path.exists("/run/sshd"):
        yield fail("sshd", "/run/sshd is missing", "mkdir -m 0755 /run/sshd")
