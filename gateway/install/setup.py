"""`enc-gateway setup`: make this host a gateway, preview that, or undo it."""

from __future__ import annotations

import os

from gateway.audit import administration
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

DEFAULT_SESSIONS = 100


def preview(sessions: int, remove: bool) -> tuple[str, ...]:
    """The changes that `apply` or `remove` would make, each a diff or one line. Raises what they would raise."""
    items = _checked_items(sessions, remove)
    texts = (item.remove_preview() if remove else item.apply_preview() for item in items)
    return tuple(text for text in texts if text)


def apply(sessions: int) -> Iterator[str]:
    """Make the host a gateway, and yield each change once it is made. Raises Misconfigured; the changes made until then
    stay, but nobody can log in yet.
    """
    changed = False
    for item in _checked_items(sessions, remove=False):
        if text := item.apply_preview():
            item.apply()
            changed = True
            yield text
            if isinstance(item, DropIn):
                yield f"! {item.outcome}"
    if changed:
        _tell_systemd(("start", "enc-housekeeping.timer"))


def remove() -> Iterator[str]:
    """Undo `apply`, except for the vaults, and yield each change: remove the drop-in, end sessions, remove the rest."""
    items = _checked_items(DEFAULT_SESSIONS, remove=True)
    settings = plan.current_or_default()
    _tell_systemd(("stop", "enc-housekeeping.timer"))
    for item in reversed(items):
        if text := item.remove_preview():
            item.remove()
            yield text
        if isinstance(item, DropIn):
            if item.outcome:
                yield f"! {item.outcome}"
            yield from _end_sessions(settings)
    _tell_systemd()


def _end_sessions(settings: Config) -> list[str]:
    """End all sessions, with the identity of the account that wrote their records. Returns what came of each."""
    if not os.path.isdir(settings.paths_vaults):
        return []
    with privileges.account(*privileges.owner(settings.paths_vaults)):
        live = registry.live(settings.paths_run)
        log, grace = administration.log(settings), settings.lock_grace
        ended = termination.end(settings.paths_run, live, grace, log, "enc-gateway setup")
        return [_ended(one) for one in ended]


def _ended(one: termination.Ended) -> str:
    if one.how == termination.REMAINS:
        return f"! session {one.session.id} does not end"
    return f"! ended session {one.session.id}"


def _checked_items(sessions: int, remove: bool) -> tuple[Item, ...]:
    """The items, after checking all preconditions. Raises Denied and Misconfigured; nothing has changed then."""
    if os.geteuid() != 0:
        raise Denied("setup needs root", "sudo enc-gateway setup")
    sshd.require()
    if remove:
        return plan.items(plan.current_or_default(), sessions)
    if error := sshd.config_error():
        raise Misconfigured("sshd's configuration is invalid, so nothing was changed", error)
    gocryptfs.require()
    for name in transfer.PROGRAMS:
        require_program(name)
    process.require(bubblewrap.BWRAP, "bubblewrap")
    dropin.require_safe_code(plan.CONFIG)
    return plan.items(plan.current(), sessions)


def _tell_systemd(*then: tuple[str, str]) -> None:
    """If systemd runs, reload its units and run `then`. Errors are ignored: a gateway works without the timer."""
    if sshd.has_systemd():
        for words in (("daemon-reload",), *then):
            process.run([sshd.SYSTEMCTL, *words])
