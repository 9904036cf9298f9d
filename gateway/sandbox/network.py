"""Network for one attached program: a network namespace of its own, connected to the host by slirp4netns.

The sandbox of a session has no way to the host's network, and keeps none. A front runs outside of it: the front creates
a network namespace that belongs to the session's user namespace, starts slirp4netns between that and the host's
network, and passes the namespace to the warden. The program has no capability over the namespace, and the host's
loopback and abstract sockets are not in it. It can reach what the gateway's account can reach from this host, including
the host's own addresses except loopback.

The namespace and slirp4netns end with the front, however that ends.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, contextmanager

from gateway.base import process, syscalls
from gateway.base.records import Fd
from gateway.base.syscalls import CLONE_NEWNET, CLONE_NEWUSER
from gateway.errors import Misconfigured
from gateway.sandbox.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SLIRP = "/usr/bin/slirp4netns"
PACKAGE = "slirp4netns"
TUN = "/dev/net/tun"
RESOLVER = b"nameserver 10.0.2.3\n"
"""/etc/resolv.conf of a program with network: slirp4netns forwards queries to the host's resolver."""

_OPTIONS = ("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp")
_TIMEOUT_SECONDS = 10.0


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
    with ExitStack() as resources:
        try:
            pidfd = os.pidfd_open(target.pid)
            resources.callback(os.close, pidfd)
            user_namespace = os.open(f"/proc/{target.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            resources.callback(os.close, user_namespace)
        except OSError as error:
            raise target.ended() from error
        target.require_live()  # it is still live, so the descriptors above are the warden's and not a later process's
        namespace = _create_namespace(user_namespace)
        resources.callback(os.close, namespace)
        resources.enter_context(_slirp(user_namespace, namespace))
        yield namespace


def _create_namespace(user_namespace: int) -> Fd:
    """A new network namespace that belongs to `user_namespace`. A child process enters that one and creates it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            try:
                syscalls.setns(user_namespace, CLONE_NEWUSER)
                syscalls.unshare(CLONE_NEWNET)
                socket.send_fds(theirs, [b"n"], [os.open("/proc/self/ns/net", os.O_RDONLY)])
            finally:
                os._exit(0)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        os.waitpid(pid, 0)
    if not fds:
        raise Misconfigured("the gateway could not create a network namespace")
    os.set_inheritable(fds[0], False)
    return Fd(fds[0])


@contextmanager
def _slirp(user_namespace: int, namespace: int) -> Iterator[None]:
    """Run slirp4netns for `namespace`. It ends with the block, and with this process: then its --exit-fd is closed."""
    ready, ready_writer = os.pipe()
    exit_reader, lifeline = os.pipe()
    words = [SLIRP, *_OPTIONS, f"--ready-fd={ready_writer}", f"--exit-fd={exit_reader}"]
    words += [f"--userns-path=/proc/self/fd/{user_namespace}"]
    words += ["--netns-type=path", f"/proc/self/fd/{namespace}", "tap0"]
    pid = process.spawn(words, {}, (ready_writer, exit_reader, user_namespace, namespace), own_group=True)
    os.close(ready_writer)
    os.close(exit_reader)
    try:
        if not process.wait_readable(ready, _TIMEOUT_SECONDS) or not os.read(ready, 1):
            raise Misconfigured("slirp4netns could not start the program's network", "run `enc-gateway doctor`")
        yield
    finally:
        os.close(ready)
        os.close(lifeline)
        if process.wait(pid, _TIMEOUT_SECONDS) is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
