"""Lines of authorized_keys as rows for people and programs."""

from __future__ import annotations

import time

from gateway.admin import output
from gateway.admin.keys import lookup
from gateway.base import clock
from gateway.identity import authorized_keys
from gateway.identity.authorized_keys import NEVER, Entry


def row(entry: Entry) -> dict[str, object]:
    """The fields of a line, for JSON."""
    return {
        "line": entry.line,
        "fingerprint": lookup.fingerprint(entry),
        "principal": principal(entry),
        "state": _state(entry),
        "type": entry.key_type,
        "expires": "" if entry.expires == NEVER else clock.utc(entry.expires),
        "from": entry.option_value("from"),
        "label": output.visible(entry.label),
    }


def principal(entry: Entry) -> str:
    """Whose line it is."""
    return entry.invitation_for or entry.principal or lookup.fingerprint(entry)


def _state(entry: Entry) -> str:
    if entry.problem or not authorized_keys.is_key(entry.key_type, entry.blob):
        return "refused"
    if entry.has_expired(time.time()):
        return "expired"
    return "invitation" if entry.invitation_for else "good"
