"""Edit the authorized_keys that counts: in a cluster the master that its hosts share, of which each has a copy."""

from __future__ import annotations

import contextlib
import time

from gateway.admin import output
from gateway.base import privileges
from gateway.cluster import places
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.identity import authorized_keys, keyfile
from gateway.identity.authorized_keys import Entry

_COPIED_SECONDS = 5.0
_LOOK_SECONDS = 0.1


def edit(settings: Config, change: keyfile.Change) -> None:
    """`keyfile.edit`, as root. In a cluster it returns when this host's copy has it, or tells that it has not."""
    with privileges.root():
        keyfile.edit(places.keys(settings), change)
        if places.is_cluster(settings) and not _is_copied(settings):
            output.note(
                f"enc-gateway: this host's copy has not followed within {_COPIED_SECONDS:.0f} s; "
                "does `enc-gateway host follow` run?"
            )


def _is_copied(settings: Config) -> bool:
    deadline = time.monotonic() + _COPIED_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(Misconfigured):  # there is no copy yet
            copy = authorized_keys.read_bytes(settings.paths_authorized_keys)
            if copy == authorized_keys.read_bytes(places.keys(settings)):
                return True
        time.sleep(_LOOK_SECONDS)
    return False


def load(settings: Config) -> tuple[Entry, ...]:
    """The key lines that `edit` would change. Raises Misconfigured."""
    return authorized_keys.load(places.keys(settings))
