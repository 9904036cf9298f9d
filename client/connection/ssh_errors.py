"""What ssh's own error messages mean, as our errors."""

from __future__ import annotations

import os
import re
import shlex

from client.errors import EncError, HostKeyRefused, Missing, NotAccepted, Unreachable

GATEWAY = "the gateway"
"""The host in messages about a shared connection, which does not know its name."""
GATEWAYS_ERROR = "enc: "
"""How a line begins in which the gateway says what is wrong."""
KEYGEN = "ssh-keygen"
_REMOVE_WITH = re.compile(rf'{KEYGEN} -f "?([^"\n]+?)"? -R "?([^"\n]+?)"?\s*$', re.MULTILINE)
_OFFENDING = re.compile(r"Offending \S+ key in (.+?):(\d+)")
_REFUSED = re.compile(r"connect to host (\S+) port (\d+): Connection refused")
_CHECK_NETWORK = "check your network"
_IS_IT_RUNNING = "is the gateway running?"
_MESSAGES: tuple[tuple[str, type[EncError], str, str], ...] = (
    (
        "Too many authentication failures",
        NotAccepted,
        "{host} was offered so many keys of your ssh-agent that it did not wait for the right one",
        "name your key with -i, or with IdentityFile and `IdentitiesOnly yes` in ssh_config",
    ),
    ("Permission denied", NotAccepted, "{host} does not accept your key", "`enc doctor` checks your keys"),
    (
        "Could not resolve hostname",
        Unreachable,
        "cannot resolve the host name {host}",
        "check the name, or your network",
    ),
    (
        "Connection refused",
        Unreachable,
        "nothing answers at {host} on that port",
        _IS_IT_RUNNING,
    ),
    ("timed out", Unreachable, "{host} does not answer", "check the address, or your network"),
    ("No route to host", Unreachable, "there is no route to {host}", _CHECK_NETWORK),
    ("Network is unreachable", Unreachable, "the network is unreachable", _CHECK_NETWORK),
)


class HostKeyUnknown(HostKeyRefused):
    """The host key is not in the user's known_hosts."""

    def __init__(self, host: str, hint: str = "`enc init` shows it and asks you") -> None:
        super().__init__(f"the host key of {host} is not known on this machine", hint)


def not_installed() -> Missing:
    return Missing("ssh is not installed", "apt install openssh-client")


def explain(text: str, host: str) -> EncError:
    """The error for what ssh printed on standard error when ssh itself failed."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text or "Offending" in text:
        return _changed(text, host)
    if "host key is known" in text or "Host key verification failed" in text:
        return HostKeyUnknown(host)
    if where := _REFUSED.search(text):
        return Unreachable(f"nothing answers at {where[1]} port {where[2]}", _IS_IT_RUNNING)
    for sign, kind, message, hint in _MESSAGES:
        if sign in text:
            return kind(message.format(host=host), hint)
    if "kex_exchange_identification: Connection closed" in text and host == GATEWAY:
        return Unreachable("the connection has just closed", "try again")
    detail = f" ({last_line(text)})" if last_line(text) else ""
    return Unreachable(f"the connection to {host} failed{detail}", "`enc doctor` looks for the cause")


def _changed(text: str, host: str) -> HostKeyRefused:
    where = _OFFENDING.search(text)
    at = f"{where[1]} line {where[2]}" if where else "known_hosts"
    hint = (
        "somebody may be intercepting the connection. Ask your sysadmin; "
        f"if they changed the key, `{_removal(text, host)}`, then `enc init`"
    )
    return HostKeyRefused(f"the host key of {host} is not the one in {at}", hint)


def _removal(text: str, host: str) -> str:
    """The command that removes all keys of the host: ssh names it, with the name under which the host is recorded."""
    found = _REMOVE_WITH.search(text)
    if found is None:
        return f"{KEYGEN} -R {shlex.quote(host)}"
    file = "" if found[1] == os.path.expanduser("~/.ssh/known_hosts") else f"-f {shlex.quote(found[1])} "
    return f"{KEYGEN} {file}-R {shlex.quote(found[2])}"


def last_line(text: str) -> str:
    """The last line of a program's messages, without the prefix that the gateway puts before its own; "" for none."""
    lines = text.strip().splitlines()
    return lines[-1].removeprefix(GATEWAYS_ERROR) if lines else ""
