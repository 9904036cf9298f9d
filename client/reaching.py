"""Carrying out a command on the host of a gateway that has its project: enc goes there by itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from client import output
from client.errors import Busy, Elsewhere, FromGateway, HostIsSilent, HostKeyRefused, Unreachable
from client.state import hosts
from client.state.config import Profile

T = TypeVar("T")

_HOPS = 2
"""How often a gateway may send a command on to another host."""
_PAUSE = 3.0


def reach(profile: Profile, function: Callable[[Profile], T], patience: float = 0.0) -> T:
    """What `function` returns of the gateway, or of the host to which that sends it on: then it is called anew, for a
    gateway does so before it has done anything. While that host does not answer, it is tried again for `patience`
    seconds: another one will have what it had.
    """
    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            return _reach(profile, function, not told)
        except (HostIsSilent, FromGateway) as error:
            if not isinstance(error, HostIsSilent) and not (error.slug == Busy.slug and error.host):
                raise
            if time.monotonic() >= deadline:
                raise
            if not told:
                output.note(f"{error}: waiting for at most {patience:.0f} s, until another host has it; Ctrl-C ends it")
            told = True
            time.sleep(_PAUSE)
            profile = hosts.gateway(profile)


def _reach(profile: Profile, function: Callable[[Profile], T], tells: bool) -> T:
    for hop in range(_HOPS + 1):
        try:
            with _explained(profile):
                return function(profile)
        except Elsewhere as error:
            if hop == _HOPS or error.address == profile.address:
                raise Busy(f"{error}, says {profile.called}, to which enc was sent for it", "try again") from error
            if tells:
                output.note(f"{error}: connecting there")
            profile = hosts.leading_to(profile, error.host, error.address)
    raise AssertionError


@contextlib.contextmanager
def _explained(profile: Profile) -> Iterator[None]:
    """Say what is to do when the host to which the gateway has sent us is not reached, or is a stranger."""
    try:
        yield
    except HostKeyRefused as error:
        if not profile.address:
            raise
        message = f"the host key of {profile.called} is not that of {profile.host}, which sent enc there"
        hint = "nothing was sent to it; ask your sysadmin: all hosts of a gateway have the same host keys"
        raise HostKeyRefused(message, hint) from error
    except Unreachable as error:
        if not profile.address:
            raise
        raise HostIsSilent(profile.other, str(error)) from error
