"""Network for one attached program: a namespace of its own, and slirp4netns, which carries its connections out.

A session's namespaces have no way to the host's network, and that is not changed: a front, which still lives outside,
makes a network namespace inside the session's user namespace, starts slirp4netns between that and the host, and hands
the namespace to the warden. So a program with network is under no other roof than one without: it has no capability
over the namespace, and the host's loopback and abstract sockets are not in it. What it can reach is what a connection
of the gateway's account from this host can reach, addresses of the host but its loopback included.

The namespace and slirp4netns live no longer than the front needs them, and end when it does, whatever ends that.
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
"""/etc/resolv.conf of a program with network: slirp4netns passes its questions on to the host's resolver."""

_OPTIONS = ("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp")
_PATIENCE = 10.0


def require() -> None:
    """Raise Misconfigured unless slirp4netns can be run, and has the device that it needs."""
    process.require(SLIRP, PACKAGE)
    if not os.access(TUN, os.R_OK | os.W_OK):
        hint = f"a sysadmin can: modprobe tun; chmod 0666 {TUN}, as udev has it"
        raise Misconfigured(f"the gateway's host refuses {TUN} to this account", hint)


@contextmanager
def given(target: Target) -> Iterator[Fd]:
    """A namespace with network for a program of the session `target`, to the end of the block: a descriptor.

    Raises EncError.
    """
    require()
    with ExitStack() as held:
        try:
            handle = os.pidfd_open(target.pid)
            held.callback(os.close, handle)
            users = os.open(f"/proc/{target.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            held.callback(os.close, users)
        except OSError as error:
            raise target.ended() from error
        target.require_live()  # so the pid was its own when the descriptors were opened
        namespace = _make(users)
        held.callback(os.close, namespace)
        held.enter_context(_connected(users, namespace))
        yield namespace


def _make(users: int) -> Fd:
    """A network namespace that belongs to the user namespace `users`, made by a child that goes in there."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            try:
                syscalls.setns(users, CLONE_NEWUSER)
                syscalls.unshare(CLONE_NEWNET)
                socket.send_fds(theirs, [b"n"], [os.open("/proc/self/ns/net", os.O_RDONLY)])
            finally:
                os._exit(0)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        os.waitpid(pid, 0)
    if not fds:
        raise Misconfigured("the gateway's host refuses a network namespace")
    os.set_inheritable(fds[0], False)
    return Fd(fds[0])


@contextmanager
def _connected(users: int, namespace: int) -> Iterator[None]:
    """slirp4netns at work for `namespace`. It ends with the block, and with this process."""
    ready, says = os.pipe()
    leash, held = os.pipe()
    words = [SLIRP, *_OPTIONS, f"--ready-fd={says}", f"--exit-fd={leash}", f"--userns-path=/proc/self/fd/{users}"]
    words += ["--netns-type=path", f"/proc/self/fd/{namespace}", "tap0"]
    pid = process.spawn(words, {}, (says, leash, users, namespace), apart=True)
    os.close(says)
    os.close(leash)
    try:
        if not process.readable(ready, _PATIENCE) or not os.read(ready, 1):
            raise Misconfigured("the gateway's host gives programs no network", "`enc-gateway doctor` may know why")
        yield
    finally:
        os.close(ready)
        os.close(held)
        if process.wait(pid, _PATIENCE) is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
