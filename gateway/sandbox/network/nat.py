"""Network for one attached program: a network namespace of its own, connected to the host by slirp4netns.

The sandbox of a session has no way to the host's network, and keeps none. A front runs outside of it: the front creates
a network namespace in a user namespace below the session's, starts slirp4netns between that and the host's network, and
passes the namespace to the warden. The program has no capability over the namespace, and the host's
loopback and abstract sockets are not in it. It can reach what the gateway's account can reach from this host, including
the host's own addresses except loopback.

slirp4netns parses packets of the program and has the host's network, so it is in a sandbox as well. It sees no vault,
session or process, and has no capability in the session's user namespace. Once it runs, it has only
CAP_NET_BIND_SERVICE in its own.

The namespaces and slirp4netns end with the front, however that ends.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

from gateway.base import process
from gateway.base.records import Fd
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap
from gateway.sandbox.network import namespaces, resolver
from gateway.sandbox.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SLIRP = "/usr/bin/slirp4netns"
PACKAGE = "slirp4netns"
TUN = "/dev/net/tun"

_OPTIONS = ("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp")
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SETPCAP")
"""What slirp4netns starts with: to enter the namespace, create the device in it, and then drop all but the third."""


def require() -> None:
    """Raise Misconfigured unless slirp4netns is installed, and the account may use the device that it needs."""
    process.require(SLIRP, PACKAGE)
    if not os.access(TUN, os.R_OK | os.W_OK):
        hint = f"a sysadmin can: modprobe tun; chmod 0666 {TUN} (udev's default mode)"
        raise Misconfigured(f"the gateway's account may not use {TUN}", hint)


@contextmanager
def program_network(target: Target) -> Iterator[Fd]:
    """A network namespace with a connection to the host, for a program of the session `target`, for the block.

    The value is the namespace's descriptor. Raises Misconfigured, NotUnlocked, Internal.
    """
    require()
    with namespaces.created(target) as (inner, namespace), _slirp(inner, namespace):
        yield namespace


@contextmanager
def _slirp(user_namespace: int, namespace: int) -> Iterator[None]:
    """Run slirp4netns for `namespace`. It ends with the block, and with this process: then its --exit-fd is closed."""
    ready, ready_writer = os.pipe()
    exit_reader, lifeline = os.pipe()
    words = [SLIRP, *_OPTIONS, f"--ready-fd={ready_writer}", f"--exit-fd={exit_reader}"]
    words += ["--netns-type=path", f"/proc/self/fd/{namespace}", "tap0"]
    words = _sandbox_argv(user_namespace, words)
    pid = process.spawn(words, {}, (ready_writer, exit_reader, user_namespace, namespace), own_group=True)
    os.close(ready_writer)
    os.close(exit_reader)
    try:
        if not process.wait_readable(ready, namespaces.TIMEOUT_SECONDS) or not os.read(ready, 1):
            raise Misconfigured("slirp4netns could not start the program's network", "run `enc-gateway doctor`")
        yield
    finally:
        os.close(ready)
        os.close(lifeline)
        if process.wait(pid, namespaces.TIMEOUT_SECONDS) is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _sandbox_argv(user_namespace: int, command: list[str]) -> list[str]:
    """bwrap for slirp4netns. With --enable-sandbox that keeps only /etc and /run of what it sees here, read-only."""
    words = [bubblewrap.BWRAP, *bubblewrap.networked_argv(user_namespace), "--die-with-parent", "--new-session"]
    for capability in _CAPABILITIES:
        words += ["--cap-add", capability]
    words += ["--proc", "/proc", "--dir", "/tmp", "--dir", "/run", "--dir", "/etc", "--dev-bind", TUN, TUN]  # noqa: S108
    return [*words, *resolver.argv(), "--", *command]
