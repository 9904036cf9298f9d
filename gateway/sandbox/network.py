"""Network for one attached program: a namespace of its own, and slirp4netns, which carries its connections out.

A session's namespaces have no way to the host's network, and that is not changed: a front, which still lives outside,
makes a network namespace below the session's user namespace, starts slirp4netns between that and the host, and hands
the namespace to the warden. So a program with network is under no other roof than one without: it has no capability
over the namespace, and the host's loopback and abstract sockets are not in it. What it can reach is what a connection
of the gateway's account from this host can reach, addresses of the host but its loopback included.

slirp4netns reads packets that the program makes, in the host's network namespace, so it has a sandbox too: it sees no
vault, session or process, its user namespace is one below the session's, and once at work it has no capability but to
bind low ports.

The namespace and slirp4netns live no longer than the front needs them, and end when it does, whatever ends that.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, contextmanager

from gateway.base import process, syscalls
from gateway.base.syscalls import CLONE_NEWNET, CLONE_NEWUSER
from gateway.errors import Misconfigured
from gateway.sandbox import bubblewrap, host_files
from gateway.sandbox.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SLIRP = "/usr/bin/slirp4netns"
PACKAGE = "slirp4netns"
TUN = "/dev/net/tun"
RESOLVER = b"nameserver 10.0.2.3\n"
"""/etc/resolv.conf of a program with network: slirp4netns passes its questions on to the host's resolver."""

_RESOLV_CONF = "/etc/resolv.conf"

_OPTIONS = ("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp")
_PATIENCE = 10.0


def require() -> None:
    """Raise Misconfigured unless slirp4netns can be run, and has the device that it needs."""
    process.require(SLIRP, PACKAGE)
    if not os.access(TUN, os.R_OK | os.W_OK):
        hint = f"a sysadmin can: modprobe tun; chmod 0666 {TUN}, as udev has it"
        raise Misconfigured(f"the gateway's host refuses {TUN} to this account", hint)


@contextmanager
def given(target: Target) -> Iterator[int]:
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
        inner, namespace = _make(users)
        held.callback(os.close, inner)
        held.callback(os.close, namespace)
        held.enter_context(_connected(inner, namespace))
        yield namespace


def _make(users: int) -> tuple[int, int]:
    """A user namespace below `users` in which our uid is 0, and a network namespace that belongs to it: descriptors,
    from a child that goes in there.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            try:
                syscalls.setns(users, CLONE_NEWUSER)
                _own_namespaces()
                made = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("user", "net")]
                socket.send_fds(theirs, [b"n"], made)
            finally:
                os._exit(0)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 2)
        os.waitpid(pid, 0)
    if len(fds) != 2:
        raise Misconfigured("the gateway's host refuses a network namespace")
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds[0], fds[1]


def _own_namespaces() -> None:
    """Raises OSError. slirp4netns gives up its capabilities only where it is uid 0; the uid outside stays ours."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    syscalls.unshare(CLONE_NEWUSER)
    syscalls.own_proc_files()
    for name, content in maps.items():
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(content)
    syscalls.keep_memory_private()
    syscalls.unshare(CLONE_NEWNET)


@contextmanager
def _connected(users: int, namespace: int) -> Iterator[None]:
    """slirp4netns at work for `namespace`, in its user namespace `users`. It ends with the block, and with us."""
    ready, says = os.pipe()
    leash, held = os.pipe()
    words = [SLIRP, *_OPTIONS, f"--ready-fd={says}", f"--exit-fd={leash}"]
    words += ["--netns-type=path", f"/proc/self/fd/{namespace}", "tap0"]
    pid = process.spawn(_sandboxed(users, words), {}, (says, leash, users, namespace), apart=True)
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


def _sandboxed(users: int, command: list[str]) -> list[str]:
    """bwrap for slirp4netns, in the host's network namespace. At work it shuts itself in once more, and then sees /etc
    and /run alone, read-only: there is nothing in them but what says who resolves names.
    """
    words = [bubblewrap.BWRAP, *bubblewrap.networked_argv(users), "--die-with-parent", "--new-session"]
    for capability in _CAPABILITIES:
        words += ["--cap-add", capability]
    words += ["--proc", "/proc", "--dir", "/tmp", "--dir", "/run", "--dir", "/etc", "--dev-bind", TUN, TUN]  # noqa: S108
    return [*words, *_resolver(), "--", *command]


_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SETPCAP")
"""To enter the namespace, make the device in it, keep one capability and shut itself in."""


def _resolver() -> list[str]:
    """/etc/resolv.conf as the host has it at any moment: the directory in which it really is."""
    *_, real = host_files.steps(_RESOLV_CONF)
    around = os.path.dirname(real)
    if around != "/etc" and around.count("/") < 2:  # /run/resolv.conf: not all of /run for that
        return ["--ro-bind-try", real, _RESOLV_CONF] if os.access(real, os.R_OK) else []
    if not os.access(around, os.X_OK):
        return []
    inside = "/run/resolver"
    return ["--ro-bind-try", around, inside, "--symlink", f"{inside}/{os.path.basename(real)}", _RESOLV_CONF]
