"""What belongs on this host, in the order in which it is made: what opens the door comes last."""

from __future__ import annotations

import glob
import os
import time

from gateway.config import loader, reference
from gateway.config.schema import Config
from gateway.errors import Misconfigured
from gateway.install import texts
from gateway.install.dropin import DropIn
from gateway.install.files import File, Grown, Link, Seed
from gateway.install.inotify import InotifyLimits
from gateway.install.items import Account, Directory, Item, OpenFuse, Scratch, UserNamespaces

ETC = "/etc/enc"
CONFIG = f"{ETC}/gateway.toml"
KEPT = "/var/lib/enc/kept"
"""What people wrote goes to a directory below it, named by the time of the removal."""
_UNITS = "/etc/systemd/system"
_SYSTEMD_HERE = "/usr/lib/systemd/system"


def current() -> Config:
    """The configuration that is there, else the defaults. Raises Misconfigured when what is there is wrong."""
    return loader.load(CONFIG) if os.path.exists(CONFIG) else loader.parse("")


def current_or_default() -> Config:
    """The same, by the defaults where what is there is wrong: that must not keep a gateway from being removed."""
    try:
        return current()
    except Misconfigured:
        return loader.parse("")


def items(settings: Config, sessions: int) -> tuple[Item, ...]:
    """Everything, by `settings`, for a gateway that is to carry so many sessions at once."""
    audit = os.path.dirname(settings.paths_audit)
    kept = f"{KEPT}/{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}"
    return (
        Account(settings.paths_vaults),
        Directory(os.path.dirname(KEPT)),
        Directory(settings.paths_vaults, private=True),
        Directory(settings.paths_enrolments, private=True),
        Directory(audit, private=True),
        *(Grown(path, kept) for path in sorted(glob.glob(f"{settings.paths_audit}*"))),
        Scratch(settings.paths_run, private=True),
        Directory(ETC),
        Grown(settings.paths_pause, kept),
        Seed(CONFIG, reference.template(), kept),
        Seed(settings.paths_authorized_keys, texts.AUTHORIZED_KEYS, kept),
        OpenFuse(),
        UserNamespaces(),
        InotifyLimits(sessions),
        *(_systemd(settings) if os.path.isdir(_SYSTEMD_HERE) else ()),
        DropIn(settings, CONFIG),
    )


def _systemd(settings: Config) -> tuple[Item, ...]:
    """Files only: that is all it takes, also in an image that does not run."""
    return (
        File("/etc/tmpfiles.d/enc.conf", texts.tmpfiles(settings)),
        File(f"{_UNITS}/enc-housekeeping.service", texts.service(CONFIG)),
        File(f"{_UNITS}/enc-housekeeping.timer", texts.TIMER),
        Link(f"{_UNITS}/timers.target.wants/enc-housekeeping.timer", "../enc-housekeeping.timer"),
    )
