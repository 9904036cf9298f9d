"""What the user's ssh_config says about a host, as `ssh -G` prints it: one option a line, its values not quoted."""

from __future__ import annotations

import os
import pwd
import re
import stat

from client.connection import ssh
from client.errors import Misconfigured
from client.state.config import Profile

_TOKEN = re.compile(r"%(.)|\$\{([^}]*)\}")
_NEXT_FILE = re.compile(r" (?=[/~%$])")
"""Where the next file begins: ssh does not print the quotes around one that has a space."""


def known_hosts(profile: Profile) -> str:
    """The first file in which ssh looks for the host's key. Raises Misconfigured when there is none, or no telling.

    Runs `ssh -G`, and with it the commands of the config's `Match exec`.
    """
    options = ssh.settings(profile)
    value = options.get("userknownhostsfile", "")
    first = _expanded(_NEXT_FILE.split(value)[0], options, profile)
    if not first or not _is_usable(first):
        message = f"ssh keeps no host key of {profile.host}: its UserKnownHostsFile is {value or 'not known'}"
        raise Misconfigured(message, "in ssh_config, set it to ~/.ssh/known_hosts for this host")
    return first


def _is_usable(path: str) -> bool:
    """Whether it is a file, or one can be made there: /dev/null is none, and `none` no path."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return os.path.isabs(path)
    except OSError:
        return False


def _expanded(path: str, options: dict[str, str], profile: Profile) -> str:
    """`path` with its ~ and tokens, as ssh expands them (TOKENS in ssh_config(5)); "" for a token that is not known."""
    home = pwd.getpwuid(os.getuid()).pw_dir  # ssh does not look at $HOME
    tokens = {
        "%": "%",
        "d": home,
        "h": options.get("hostname", ""),
        "i": str(os.getuid()),
        "n": profile.host,
        "p": options.get("port", ""),
        "r": options.get("user", ""),
        "u": pwd.getpwuid(os.getuid()).pw_name,
    }
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    values = [tokens.get(found[1], "") if found[1] else os.environ.get(found[2], "") for found in _TOKEN.finditer(path)]
    if not all(values):
        return ""
    left = iter(values)
    return _TOKEN.sub(lambda _: next(left), path)
