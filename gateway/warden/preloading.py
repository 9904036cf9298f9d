"""What a session loads before it needs it: an upgrade under a live session replaces or removes its files."""

from __future__ import annotations

PRELOADED = (
    *("binascii", "encodings.ascii", "json", "gateway.sandbox.limits", "gateway.vault.slots.stored"),
    "gateway.identity.nearest",
    *("gateway.warden.cluster_watch", "gateway.warden.key_watch", "gateway.warden.tracking.tracker"),
)
"""Modules that are imported where they are first needed, to save time."""


def preload() -> None:
    """To be called as soon as the session is open."""
    for name in PRELOADED:
        __import__(name)
