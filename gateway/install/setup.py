"""`enc-gateway setup`: make this host a gateway, preview that, or undo it."""

from __future__ import annotations

import os

from gateway.audit import administration
from gateway.base import privileges, process
from gateway.cluster import places
from gateway.config.schema import Config
from gateway.errors import Denied, Misconfigured
from gateway.host import sshd
from gateway.install import dropin, plan, shared
from gateway.install.dropin import DropIn
from gateway.install.items import Item
from gateway.install.shared import SERVICE, Joining
from gateway.sandbox import bubblewrap, transfer
from gateway.sandbox.transfer import require_program
from gateway.session import registry, termination
from gateway.vault import gocryptfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_SESSIONS = 100


def preview(sessions: int, remove: bool, joining: Joining | None = None) -> tuple[str, ...]:
    """The changes that `apply` or `remove` would make, each a diff or one line. Raises what they would raise."""
    items = _checked_items(sessions, remove, joining)
    texts = (item.remove_preview() if remove else item.apply_preview() for item in items)
    return tuple(text for text in texts if text)


def apply(sessions: int, joining: Joining | None = None) -> Iterator[str]:
    """Make the host a gateway, and yield each change once it is made. Raises Misconfigured; the changes made until then
    stay, but nobody can log in yet.
    """
    changed = False
    for item in _checked_items(sessions, remove=False, joining=joining):
        if text := item.apply_preview():
            item.apply()
            changed = True
            yield text
            if isinstance(item, DropIn):
                yield f"! {item.outcome}"
    if changed:
        _tell_systemd(("start", "enc-housekeeping.timer"))
    if places.is_cluster(plan.current()):  # it may have been started with the code of before an upgrade
        _tell_systemd(("restart", SERVICE))


def remove() -> Iterator[str]:
    """Undo `apply`, except for the vaults, and yield each change: remove the drop-in, end sessions, remove the rest."""
    items = _checked_items(DEFAULT_SESSIONS, remove=True)
    settings = plan.current_or_default()
    _tell_systemd(("stop", "enc-housekeeping.timer"), *((("stop", SERVICE),) if places.is_cluster(settings) else ()))
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
    if not os.path.isdir(settings.account_directory):
        return []
    with privileges.account(*privileges.owner(settings.account_directory)):
        live = registry.live(settings.paths_run)
        log, grace = administration.log(settings), settings.lock_grace
        ended = termination.end(settings.paths_run, live, grace, log, "enc-gateway setup")
        return [_ended(one) for one in ended]


def _ended(one: termination.Ended) -> str:
    if one.how == termination.REMAINS:
        return f"! session {one.session.id} does not end"
    return f"! ended session {one.session.id}"


def _checked_items(sessions: int, remove: bool, joining: Joining | None = None) -> tuple[Item, ...]:
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
    settings = plan.current()
    if not joining or joining.is_of(settings):
        shared.require_store(settings)
    if joining:
        shared.require(joining, settings)
    return plan.items(settings, sessions, joining)


def _tell_systemd(*then: tuple[str, str]) -> None:
    """If systemd runs, reload its units and run `then`. Errors are ignored: a gateway works without the timer."""
    if sshd.has_systemd():
        for words in (("daemon-reload",), *then):
            process.run([sshd.SYSTEMCTL, *words])
