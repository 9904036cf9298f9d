"""Check that the drop-in is in effect: compare it to sshd's configuration for a login as the gateway's account."""

from __future__ import annotations

import os

from gateway.doctor.finding import Finding, Target, fail, ok, warn
from gateway.errors import Misconfigured
from gateway.host import account, sshd, sshd_template
from gateway.install.dropin import ineffective, render, require_safe_code
from gateway.install.files import read
from gateway.install.plan import CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SETUP = "enc-gateway setup"


def check(target: Target) -> Iterator[Finding]:
    if target.path != CONFIG:
        return  # an embedded gateway runs its own sshd
    if not target.as_root:
        yield warn("sshd", "only root can check its configuration", "sudo enc-gateway doctor")
        return
    if error := sshd.config_error():
        yield fail("sshd", f"its configuration is invalid: {error}", "sshd -t")
        return
    text = read(sshd.DROP_IN)
    if text is None:
        yield fail("sshd", f"{sshd.DROP_IN} is missing: nobody can log in", _SETUP)
        return
    yield from _drop_in(target, text)
    yield from _allow_and_deny_lists()
    if not sshd.accepts_logins():
        yield warn("sshd", "no sshd with /etc/ssh/sshd_config is running", "systemctl start ssh")


def _drop_in(target: Target, text: str) -> Iterator[Finding]:
    try:
        require_safe_code(target.path)
    except Misconfigured as error:
        yield fail("code", str(error), error.hint)
    wrong = ineffective(text)
    for keyword, value in wrong.items():
        wanted = sshd_template.settings(text)[keyword]
        yield fail("sshd", f"{keyword} is {value or 'not set'} for {account.NAME}, not {wanted}", "sshd -T -C user=enc")
    if text != render(target.config, target.path):
        yield warn("sshd", f"{sshd.DROP_IN} differs from what setup would write", f"{_SETUP} --dry-run")
    if not wrong:
        yield ok("sshd", f"{len(sshd_template.settings(text))} settings are in effect for logins as {account.NAME}")


def _allow_and_deny_lists() -> Iterator[Finding]:
    """A list that excludes the account makes sshd refuse every login, after it accepted the key."""
    effective = sshd.effective(account.NAME)
    for keyword, bad in (("allowusers", False), ("allowgroups", False), ("denyusers", True), ("denygroups", True)):
        names = effective.get(keyword, "").split()
        if names and (account.NAME in names) == bad:
            yield warn(
                "sshd",
                f"{keyword} may exclude {account.NAME}: {' '.join(names)}",
                f"{'remove' if bad else 'add'} {account.NAME} there",
            )
    if not os.path.exists("/run/sshd"):
        yield fail("sshd", "/run/sshd is missing", "mkdir -m 0755 /run/sshd")
