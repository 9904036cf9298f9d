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
from contextlib import ExitStack, contextmanager

from gateway.base import process, syscalls
from gateway.base.records import Fd
from gateway.base.syscalls import CLONE_NEWUSER
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
"""/etc/resolv.conf of a program with network: slirp4netns forwards queries to the host's resolver."""

_RESOLV_CONF = "/etc/resolv.conf"
_OPTIONS = ("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp")
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SETPCAP")
"""What slirp4netns starts with: to enter the namespace, create the device in it, and then drop all but the third."""
_HOLD = ("/usr/bin/sh", "-c", "echo $$; read -r _")
"""Says its pid, and keeps its namespaces until standard input ends."""
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
        inner, namespace = _create_namespaces(user_namespace)
        resources.callback(os.close, inner)
        resources.callback(os.close, namespace)
        resources.enter_context(_slirp(inner, namespace))
        yield namespace


def _create_namespaces(user_namespace: int) -> tuple[Fd, Fd]:
    """A new user namespace below `user_namespace`, in which our uid is 0, and a network namespace that belongs to it.

    A child process enters `user_namespace` and has bwrap create them: it may where AppArmor restricts others.
    """
    said, says = os.pipe()
    waits, holds = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(holds)
            syscalls.setns(user_namespace, CLONE_NEWUSER)
            words = [bubblewrap.BWRAP, *bubblewrap.new_network_argv(), "--die-with-parent", "--", *_HOLD]
            process.wait(process.spawn(words, {0: waits, 1: says}), _TIMEOUT_SECONDS)
        finally:
            os._exit(0)
    os.close(says)
    os.close(waits)
    try:
        holder = os.read(said, 32).strip() if process.wait_readable(said, _TIMEOUT_SECONDS) else b""
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
        if not process.wait_readable(ready, _TIMEOUT_SECONDS) or not os.read(ready, 1):
            raise Misconfigured("slirp4netns could not start the program's network", "run `enc-gateway doctor`")
        yield
    finally:
        os.close(ready)
        os.close(lifeline)
        if process.wait(pid, _TIMEOUT_SECONDS) is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _sandbox_argv(user_namespace: int, command: list[str]) -> list[str]:
    """bwrap for slirp4netns. With --enable-sandbox that keeps only /etc and /run of what it sees here, read-only."""
    words = [bubblewrap.BWRAP, *bubblewrap.networked_argv(user_namespace), "--die-with-parent", "--new-session"]
    for capability in _CAPABILITIES:
        words += ["--cap-add", capability]
    words += ["--proc", "/proc", "--dir", "/tmp", "--dir", "/run", "--dir", "/etc", "--dev-bind", TUN, TUN]  # noqa: S108
    return [*words, *_resolver_argv(), "--", *command]


def _resolver_argv() -> list[str]:
    """Show the host's resolv.conf by the directory it is in, so that slirp4netns sees a new one, as it does outside."""
    *_, real = host_files.steps(_RESOLV_CONF)
    directory = os.path.dirname(real)
    if directory != "/etc" and directory.count("/") < 2:  # /run/resolv.conf, say: do not show all of /run
        return ["--ro-bind-try", real, _RESOLV_CONF] if os.access(real, os.R_OK) else []
    if not os.access(directory, os.X_OK):
        return []
    inside = "/run/resolver"
    return ["--ro-bind-try", directory, inside, "--symlink", f"{inside}/{os.path.basename(real)}", _RESOLV_CONF]
