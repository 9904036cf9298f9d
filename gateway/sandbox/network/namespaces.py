"""A network namespace for one program, empty but for a loopback of its own, and what comes into it from outside.

The front creates it in a user namespace below the session's, so that the warden can enter it, and the program has no
capability over it. It ends with the front and with what runs in it.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager

from gateway.base import process, syscalls
from gateway.base.records import Fd
from gateway.base.syscalls import CLONE_NEWNET, CLONE_NEWUSER
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap
from gateway.sandbox.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_SECONDS = 10.0
_HOLD = ("/usr/bin/sh", "-c", "echo $$; read -r _")
"""Says its pid, and keeps its namespaces until standard input ends."""


@contextmanager
def created(target: Target) -> Iterator[tuple[Fd, Fd]]:
    """A new user namespace below that of the session `target`, in which our uid is 0, and a network namespace that
    belongs to it, for the block. Raises Misconfigured, NotUnlocked, Internal.
    """
    with ExitStack() as resources:
        try:
            pidfd = os.pidfd_open(target.pid)
            resources.callback(os.close, pidfd)
            user_namespace = os.open(f"/proc/{target.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            resources.callback(os.close, user_namespace)
        except OSError as error:
            raise target.ended() from error
        target.require_live()  # it is still live, so the descriptors above are the warden's and not a later process's
        inner, namespace = _create(user_namespace)
        resources.callback(os.close, inner)
        resources.callback(os.close, namespace)
        yield inner, namespace


def _create(user_namespace: int) -> tuple[Fd, Fd]:
    """A child process enters `user_namespace` and has bwrap create them: it may where AppArmor restricts others."""
    said, says = os.pipe()
    waits, holds = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(holds)
            syscalls.setns(user_namespace, CLONE_NEWUSER)
            words = [bubblewrap.BWRAP, *bubblewrap.new_network_argv(), "--die-with-parent", "--", *_HOLD]
            process.wait(process.spawn(words, {0: waits, 1: says}), TIMEOUT_SECONDS)
        finally:
            os._exit(0)
    os.close(says)
    os.close(waits)
    try:
        holder = os.read(said, 32).strip() if process.wait_readable(said, TIMEOUT_SECONDS) else b""
        if not holder.isdigit():
            raise Misconfigured("the gateway could not create a network namespace", "run `enc-gateway doctor`")
        namespaces = (f"/proc/{int(holder)}/ns/{kind}" for kind in ("user", "net"))
        inner, network = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in namespaces)
        return Fd(inner), Fd(network)
    except OSError as error:
        raise Misconfigured("the program's network namespace ended at once", error.strerror) from error
    finally:
        os.close(said)
        os.close(holds)
        os.waitpid(pid, 0)


def listening(inner: Fd, namespace: Fd, address: tuple[str, int]) -> Fd:
    """A TCP socket that listens in `namespace`, which belongs to the user namespace `inner`, on its loopback `address`.
    The caller closes it. Raises Misconfigured.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def make(_: object) -> None:
            syscalls.setns(inner, CLONE_NEWUSER)
            syscalls.setns(namespace, CLONE_NEWNET)
            with socket.create_server(address, backlog=128) as made:
                socket.send_fds(theirs, [b"\0"], [made.fileno()])

        pid, reader = process.fork(make, (inner, namespace, theirs.fileno()))
        os.close(reader)
        if process.wait(pid, TIMEOUT_SECONDS) != 0:
            raise Misconfigured("the gateway could not listen in a network namespace", "run `enc-gateway doctor`")
        _, (made,), _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
        return Fd(made)
