"""`enc-gateway setup`: make this host a gateway, say what that would change, or take it all back."""

from __future__ import annotations

import os

from gateway.base import privileges, process
from gateway.config.schema import Config
from gateway.errors import Denied, Misconfigured
from gateway.host import sshd
from gateway.install import dropin, plan
from gateway.install.dropin import DropIn
from gateway.install.items import Item
from gateway.sandbox import bubblewrap, transfer
from gateway.sandbox.transfer import require_program
from gateway.session import registry, termination
from gateway.vault import gocryptfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 100


def preview(wanted: int, remove: bool) -> tuple[str, ...]:
    """What `apply` or `remove` would change, each as a diff or one line. Raises Misconfigured as they would."""
    listed = _required(wanted, remove)
    texts = (item.present() if remove else item.missing() for item in listed)
    return tuple(text for text in texts if text)


def apply(wanted: int) -> Iterator[str]:
    """Make the host a gateway; each change when it was made. Raises Misconfigured: what was made until then stays, and
    the door was not opened.
    """
    changed = False
    for item in _required(wanted, remove=False):
        if text := item.missing():
            item.apply()
            changed = True
            yield text
            if isinstance(item, DropIn):
                yield f"! {item.done}"
    if changed:
        _tell_systemd(("start", "enc-housekeeping.timer"))


def remove() -> Iterator[str]:
    """Take it all back but the vaults: first the door, then the sessions, then the rest, last made first."""
    listed = _required(SESSIONS, remove=True)
    settings = plan.current_or_default()
    _tell_systemd(("stop", "enc-housekeeping.timer"))
    for item in reversed(listed):
        if text := item.present():
            item.remove()
            yield text
        if isinstance(item, DropIn):
            if item.done:
                yield f"! {item.done}"
            yield from (f"! ended session {id_}" for id_ in _end_sessions(settings))
    _tell_systemd()


def _end_sessions(settings: Config) -> list[str]:
    """The ids of the sessions that were live. As the account that wrote their records."""
    if not os.path.isdir(settings.paths_vaults):
        return []
    with privileges.account(*privileges.owner(settings.paths_vaults)):
        return [id_ for id_, _ in termination.kill(settings.paths_run, registry.live(settings.paths_run))]


def _required(wanted: int, remove: bool) -> tuple[Item, ...]:
    """The items, once it is certain that we may and can. Raises Denied and Misconfigured before anything changed."""
    if os.geteuid() != 0:
        raise Denied("setup is for root", "sudo enc-gateway setup")
    sshd.require()
    if remove:
        return plan.items(plan.current_or_default(), wanted)
    if said := sshd.complaint():
        raise Misconfigured("sshd does not take its configuration as it is, so nothing was changed", said)
    gocryptfs.require()
    for name in transfer.PROGRAMS:
        require_program(name)
    process.require(bubblewrap.BWRAP, "bubblewrap")
    dropin.require_safe_code(plan.CONFIG)
    return plan.items(plan.current(), wanted)


def _tell_systemd(*then: tuple[str, str]) -> None:
    """Where systemd runs: read the units again, and do `then`. The timer is a convenience, so nothing depends on it."""
    if sshd.has_systemd():
        for words in (("daemon-reload",), *then):
            process.run([sshd.SYSTEMCTL, *words])
