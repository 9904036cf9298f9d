"""Who is known to the gateway: in authorized_keys, in its vaults, in live sessions. Their names are what
`keys.lookup` looks in.
"""

from __future__ import annotations

import contextlib

from gateway.admin.keys import lookup
from gateway.admin.keys.lookup import Named
from gateway.cluster import mirror
from gateway.config.schema import Config
from gateway.errors import EncError
from gateway.identity import authorized_keys
from gateway.session import registry
from gateway.vault import store


def everybody(settings: Config) -> tuple[Named, ...]:
    """Every key and principal. What cannot be read is left out: sessions are ended while authorized_keys is wrong."""
    found: list[Named] = []
    with contextlib.suppress(EncError, OSError):
        found += lookup.of_entries(authorized_keys.load(settings.paths_authorized_keys))
    with contextlib.suppress(EncError, OSError):
        found += [of_principal(principal) for principal, _ in store.homes(settings.paths_vaults)]
    with contextlib.suppress(EncError, OSError):
        live = [
            *registry.live(settings.paths_run),
            *(one for host in mirror.hosts(settings) for one in host.record.sessions),
        ]
        found += [Named(fingerprint=one.fingerprint, principal=one.principal) for one in live]
    return tuple(found)


def of_principal(principal: str) -> Named:
    """A principal of whom no key is known, unless their name is their key's fingerprint."""
    return Named(fingerprint=principal if lookup.is_whole(principal) else "", principal=principal)
