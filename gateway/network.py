"""Network for one attached program: a namespace of its own, and slirp4netns, which carries its connections out.

A session's namespaces have no way to the host's network, and that is not changed: a front, which still lives outside,
makes a network namespace inside the session's user namespace, starts slirp4netns between that and the host, and hands
the namespace to the warden. So a program with network is under no other roof than one without: it has no capability
over the namespace, and the host's loopback and abstract sockets are not in it. What it can reach is what a connection
of the gateway's account from this host can reach, addresses of the host but its loopback included.

The namespace and slirp4netns live no longer than the front, whatever ends that.
"""

from __future__ import annotations

import os
import socket

from gateway import process, sessions, syscalls
from gateway.errors import Misconfigured, NotUnlocked
from gateway.syscalls import CLONE_NEWNET, CLONE_NEWUSER

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


def give(run: str, session: sessions.Session) -> int:
    """A namespace with network for a program of `session`: a descriptor, which the caller closes. Raises EncError."""
    require()
    path = os.path.join(sessions.directory(run), session.id)
    try:
        handle = os.pidfd_open(session.pid)
        users = os.open(f"/proc/{session.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotUnlocked(f"session {session.id} has just ended") from error
    try:
        if sessions.sweep(path):  # while its lock is held, the pid is certainly its own
            raise NotUnlocked(f"session {session.id} has just ended")
        namespace = _make(users)
        try:
            _connect(users, namespace)
        except BaseException:
            os.close(namespace)
            raise
        return namespace
    finally:
        os.close(users)
        os.close(handle)


def _make(users: int) -> int:
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
    return fds[0]


def _connect(users: int, namespace: int) -> None:
    """Start slirp4netns for `namespace` and wait until it works. It ends when this process does."""
    ready, says = os.pipe()
    leash, _held = os.pipe()  # `_held` stays open until this process ends
    words = [SLIRP, *_OPTIONS, f"--ready-fd={says}", f"--exit-fd={leash}", f"--userns-path=/proc/self/fd/{users}"]
    words += ["--netns-type=path", f"/proc/self/fd/{namespace}", "tap0"]
    try:
        process.spawn(words, {}, (says, leash, users, namespace), apart=True)
        os.close(says)
        if not process.readable(ready, _PATIENCE) or not os.read(ready, 1):
            raise Misconfigured("the gateway's host gives programs no network", "`enc-gateway doctor` may know why")
    finally:
        os.close(ready)
        os.close(leash)
