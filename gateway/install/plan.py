"""The items that belong on this host, in the order of setup. The drop-in, which lets people log in, is last."""

from __future__ import annotations

import glob
import os
import time

from gateway.cluster import places
from gateway.config import loader, reference
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.install import shared, texts
from gateway.install.dropin import DropIn
from gateway.install.files import Conffile, File, Link, StateFile
from gateway.install.inotify import InotifyLimits
from gateway.install.items import Account, Directory, Item, OpenFuse, RuntimeDirectory, UserNamespaces
from gateway.install.shared import Joining

ETC = "/etc/enc"
CONFIG = f"{ETC}/gateway.toml"
VAULTS = "/var/lib/enc/vaults"
"""Unless the configuration has another place."""
KEPT = "/var/lib/enc/kept"
"""Removal moves what people wrote to a directory in it, named by the time."""
_UNITS = "/etc/systemd/system"
_SYSTEMD_UNITS = "/usr/lib/systemd/system"


def current() -> Config:
    """The configuration, or the defaults when there is no file. Raises Misconfigured when the file is wrong."""
    return loader.load(CONFIG) if os.path.exists(CONFIG) else loader.parse("")


def current_or_default() -> Config:
    """As `current`, with the defaults when the file is wrong: a gateway must be removable even then."""
    try:
        return current()
    except Misconfigured:
        return loader.parse("")


def items(settings: Config, sessions: int, joining: Joining | None = None) -> tuple[Item, ...]:
    """All items, for a gateway that should carry that many live sessions, and that is one of a cluster if it was or is
    `joining`. Raises Misconfigured.
    """
    kept = f"{KEPT}/{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}"
    config = Conffile(CONFIG, reference.template(), kept)
    keys_before = settings.paths_authorized_keys
    if joining:
        config = joined = shared.Configuration(CONFIG, reference.template(), kept, joining)
        settings = joined.settings()
    audit = os.path.dirname(settings.paths_audit)
    is_cluster = places.is_cluster(settings)
    own = shared.items(settings, keys_before) if is_cluster else _of_one_host(settings, kept)
    return (
        shared.SharedAccount(settings.paths_vaults) if is_cluster else Account(settings.paths_vaults),
        Directory(os.path.dirname(KEPT)),
        Directory(audit, private=True),
        *(StateFile(path, kept) for path in sorted(glob.glob(f"{settings.paths_audit}*"))),
        RuntimeDirectory(settings.paths_run, private=True),
        Directory(ETC),
        *((*own, config) if joining else (config, *own)),  # a host of a cluster has what is shared (require_store)
        OpenFuse(),
        UserNamespaces(),
        InotifyLimits(sessions),
        *(_systemd(settings) if os.path.isdir(_SYSTEMD_UNITS) else ()),
        DropIn(settings, CONFIG),
    )


def _of_one_host(settings: Config, kept: str) -> tuple[Item, ...]:
    return (
        Directory(settings.paths_vaults, private=True),
        Directory(settings.paths_enrolments, private=True),
        StateFile(settings.paths_pause, kept),
        Conffile(settings.paths_authorized_keys, texts.AUTHORIZED_KEYS, kept),
    )


def _systemd(settings: Config) -> tuple[Item, ...]:
    """Units and links are enough; systemctl is not needed, so this works in an image that is not running too."""
    return (
        File("/etc/tmpfiles.d/enc.conf", texts.tmpfiles(settings)),
        File(f"{_UNITS}/enc-housekeeping.service", texts.service(CONFIG)),
        File(f"{_UNITS}/enc-housekeeping.timer", texts.TIMER),
        Link(f"{_UNITS}/timers.target.wants/enc-housekeeping.timer", "../enc-housekeeping.timer"),
        *(shared.units(_UNITS, CONFIG) if places.is_cluster(settings) else ()),
    )
