"""User namespaces for bubblewrap: tried as an ordinary account, and AppArmor's rule where it stands in the way.

Ubuntu since 23.10 strips the user namespaces of ordinary accounts of their capabilities unless a profile attached to
the program grants `userns` (kernel.apparmor_restrict_unprivileged_userns).
"""

from __future__ import annotations

import glob
import os
import re

from gateway.base import process
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap

PROFILE = "/etc/apparmor.d/enc-bwrap"
PROFILE_TEXT = f"""\
# From ENC: lets bubblewrap make user namespaces, and restricts nothing.
abi <abi/4.0>,
include <tunables/global>

profile enc-bwrap {bubblewrap.BWRAP} flags=(unconfined) {{
  userns,

  include if exists <local/enc-bwrap>
}}
"""
_PARSER = "/usr/sbin/apparmor_parser"
_LOADED = "/sys/kernel/security/apparmor/profiles"
_RESTRICTED = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_NOBODY = 65534


def works() -> bool:
    """Whether an ordinary account may mount in a user namespace that bubblewrap makes: root would be let through."""
    words = bubblewrap.probe_argv()
    if os.geteuid() == 0:
        words = ["/usr/bin/setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *words]
    return process.run(words, seconds=20)[0] == 0


def restricted() -> bool:
    """Whether AppArmor restricts user namespaces here."""
    try:
        with open(_RESTRICTED, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def needs_profile() -> bool:
    """Whether our profile is what is missing."""
    return restricted() and not works()


def ready(repair: bool) -> None:
    """Raise Misconfigured unless bubblewrap works; with `repair`, after installing our profile where that may help."""
    process.require(bubblewrap.BWRAP, "bubblewrap")
    if works():
        return
    if not restricted():
        hint = "see user.max_user_namespaces, kernel.unprivileged_userns_clone, or the container's seccomp rules"
        raise Misconfigured("this host refuses bubblewrap a user namespace", hint)
    if not repair:
        raise Misconfigured("AppArmor refuses bubblewrap a user namespace", "run as root: enc-gateway setup")
    # Two profiles attached to one path make its exec fail, so an existing one is left alone.
    if other := _other_profile():
        hint = "it must grant userns, and leave CAP_SYS_ADMIN to what bubblewrap starts"
        raise Misconfigured(f"AppArmor confines bubblewrap by {other}", hint)
    install()
    if not works():  # a profile that parses need not be one that helps
        raise Misconfigured("bubblewrap still cannot mount in a user namespace", "see dmesg")


def install() -> None:
    """Write our profile and load it. Raises Misconfigured."""
    with open(PROFILE, "w", encoding="ascii") as file:
        file.write(PROFILE_TEXT)
    os.chmod(PROFILE, 0o644)
    _parse("-r")


def remove() -> None:
    """Unload our profile and delete it."""
    if os.path.exists(PROFILE):
        if _is_loaded():
            _parse("-R")
        os.unlink(PROFILE)


def _is_loaded() -> bool:
    """Also no where the kernel has no AppArmor, or in a container, which sees none: apparmor_parser fails there."""
    try:
        with open(_LOADED, encoding="ascii") as file:
            return any(line.startswith("enc-bwrap ") for line in file)
    except OSError:
        return False


def _parse(how: str) -> None:
    if os.access(_PARSER, os.X_OK):
        status, said = process.run([_PARSER, how, PROFILE])
        if status:
            raise Misconfigured(f"apparmor_parser does not take {PROFILE}", said.strip().splitlines()[-1][:200])


def _other_profile() -> str:
    attached = re.compile(rf"^[^#\n]*{re.escape(bubblewrap.BWRAP)}\b.*\{{\s*$", re.MULTILINE)
    for path in sorted(glob.glob("/etc/apparmor.d/*")):
        if path != PROFILE and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                if attached.search(file.read()):
                    return path
    return ""
