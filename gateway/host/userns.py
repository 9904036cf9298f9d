"""User namespaces for bubblewrap: test them as an ordinary account, and install an AppArmor profile where needed.

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
    """Whether an ordinary account can mount in a user namespace made by bubblewrap. Root always can, so root tests as
    nobody.
    """
    words = bubblewrap.probe_argv()
    if os.geteuid() == 0:
        words = ["/usr/bin/setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *words]
    return process.run(words, seconds=20)[0] == 0


def restricted() -> bool:
    """Whether AppArmor restricts user namespaces on this host."""
    try:
        with open(_RESTRICTED, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def needs_profile() -> bool:
    """Whether bubblewrap fails and our profile may help."""
    return restricted() and not works()


def require(repair: bool) -> None:
    """Raise Misconfigured unless bubblewrap works. With `repair`, first install our profile where that may help."""
    process.require(bubblewrap.BWRAP, "bubblewrap")
    if works():
        return
    if not restricted():
        hint = "check user.max_user_namespaces, kernel.unprivileged_userns_clone, and the container's seccomp rules"
        raise Misconfigured("bubblewrap cannot make a user namespace on this host", hint)
    if not repair:
        raise Misconfigured("AppArmor keeps bubblewrap from making a user namespace", "run as root: enc-gateway setup")
    # Two profiles for one path make its exec fail, so we add none to an existing one.
    if other := _other_profile():
        hint = "that profile must grant userns, and CAP_SYS_ADMIN to the programs that bubblewrap starts"
        raise Misconfigured(f"the AppArmor profile {other} confines bubblewrap", hint)
    install()
    if not works():  # a profile can be valid and still not help
        raise Misconfigured("bubblewrap still cannot mount in a user namespace", "see dmesg for the reason")


def install() -> None:
    """Write our profile and load it. Raises Misconfigured."""
    with open(PROFILE, "w", encoding="ascii") as file:
        file.write(PROFILE_TEXT)
    os.chmod(PROFILE, 0o644)
    _run_parser("-r")


def remove() -> None:
    """Unload our profile and delete it."""
    if os.path.exists(PROFILE):
        if _is_loaded():
            _run_parser("-R")
        os.unlink(PROFILE)


def _is_loaded() -> bool:
    """False also without AppArmor, and in a container, which sees no profiles: apparmor_parser would fail there."""
    try:
        with open(_LOADED, encoding="ascii") as file:
            return any(line.startswith("enc-bwrap ") for line in file)
    except OSError:
        return False


def _run_parser(option: str) -> None:
    if os.access(_PARSER, os.X_OK):
        status, output = process.run([_PARSER, option, PROFILE])
        if status:
            raise Misconfigured(f"apparmor_parser rejects {PROFILE}", output.strip().splitlines()[-1][:200])


def _other_profile() -> str:
    attached = re.compile(rf"^[^#\n]*{re.escape(bubblewrap.BWRAP)}\b.*\{{\s*$", re.MULTILINE)
    for path in sorted(glob.glob("/etc/apparmor.d/*")):
        if path != PROFILE and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                if attached.search(file.read()):
                    return path
    return ""
