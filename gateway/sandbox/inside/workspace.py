"""A program of its own: keep a workspace, and let channels into it, each through a stock `sshd -i`.

    python3 -I -S workspace.py CONTROL SSHD HOME

SSHD is the path of sshd, HOME that of the home, which is made if there is none, and CONTROL a descriptor, the warden's
(gateway.warden.programs.workspaces). On it, one packet is one JSON object:

    {"enter": N, "key": LINE}    with two descriptors, standard input and output of channel N: serve it, for this key
    {"leave": N}                 end it
    {"host_key": LINE}           from us, once: how our sshd can be known
    {"login": N}                 from us: the key was accepted
    {"forward": PORT}            from us: a channel was opened to a port, or (0) a socket, of the workspace
    {"ended": N, "status": S}    from us

It is a process of the user's: what it says is believed of this workspace alone. All channels share its processes,
network and /tmp. It ends with the other end of CONTROL.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import re
import select
import signal
import socket
import sys

_PLACE = "/run/enc-workspace"
_HOST_KEY = f"{_PLACE}/host_key"
_PACKET = 65536
_LOGIN = re.compile(rb"Accepted publickey for ")
_FORWARD = re.compile(rb"debug1: server_request_direct_(?:tcpip: originator .* target .* port (\d+)$|streamlocal: )")
_LONGEST_LINE = 4096

_OPTIONS = {
    "HostKey": _HOST_KEY,
    "AuthenticationMethods": "publickey",
    "StrictModes": "no",  # our directories belong to us alone
    "UsePAM": "no",
    "PidFile": "none",
    "LogLevel": "DEBUG1",  # the first that names forwards
    "LoginGraceTime": "30",
    "MaxSessions": "100",
    "AllowTcpForwarding": "yes",
    "AllowStreamLocalForwarding": "yes",
    "AllowAgentForwarding": "no",
    "GatewayPorts": "no",
    "X11Forwarding": "no",
    "PermitTunnel": "no",
    "PermitUserEnvironment": "no",
    "PermitUserRC": "no",
    "PrintMotd": "no",
    "PrintLastLog": "no",
    "AcceptEnv": "LANG LC_*",
    "Subsystem": "sftp internal-sftp",
}
"""sshd_config(5). There is no file: a program in here could change it."""


def main(control: int, sshd: str, home: str) -> int:
    """The exit status."""
    os.mkdir(_PLACE, 0o700)
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, 0o700)
    making = _spawn(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", _HOST_KEY])
    if os.waitpid(making, 0)[1]:
        return 1
    with socket.socket(fileno=control) as warden:
        keeper = _Keeper(warden, sshd)
        with open(f"{_HOST_KEY}.pub", encoding="ascii") as file:
            keeper.say(host_key=" ".join(file.read().split()[:2]))
        keeper.run()
    return 0


def _spawn(words: list[str], *stdio: int) -> int:
    """Start a program on these descriptors, without an environment: sshd makes that of what it starts. Its pid."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate(stdio)]
    return os.posix_spawn(words[0], words, {}, file_actions=actions, setsid=True)


class _Channel:
    def __init__(self, number: int, pid: int, errors: int) -> None:
        self.number, self.pid, self.errors = number, pid, errors
        self.rest = b""


class _Keeper:
    def __init__(self, warden: socket.socket, sshd: str) -> None:
        self._warden = warden
        self._sshd = sshd
        self._poll = select.poll()
        self._poll.register(warden, select.POLLIN)
        self._channels: dict[int, _Channel] = {}

    def say(self, **fields: object) -> None:
        self._warden.send(json.dumps(fields).encode())

    def run(self) -> None:
        """Until the warden hangs up."""
        while True:
            for fd, _ in self._poll.poll():
                if fd in self._channels:
                    self._hear(self._channels[fd])
                elif not self._answer():
                    return

    def _answer(self) -> bool:
        """Take one packet; whether there was one."""
        size = array.array("i").itemsize
        packet, ancillary, _, _ = self._warden.recvmsg(_PACKET, socket.CMSG_SPACE(2 * size))
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % size])
        try:
            if not packet:
                return False
            asked = json.loads(packet)
            if "enter" in asked:
                self._enter(asked["enter"], asked["key"], fds[0], fds[1])
            for channel in self._channels.values():
                if channel.number == asked.get("leave"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(channel.pid, signal.SIGHUP)
            return True
        finally:
            for fd in fds:
                os.close(fd)

    def _enter(self, number: int, key: str, stdin: int, stdout: int) -> None:
        keys = f"{_PLACE}/key-{number}"
        with open(keys, "w", encoding="ascii") as file:
            file.write(key + "\n")
        words = [self._sshd, "-i", "-e", "-f", "/dev/null", "-o", f"AuthorizedKeysFile={keys}"]
        words += [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        reader, errors = os.pipe2(os.O_CLOEXEC)
        pid = _spawn(words, stdin, stdout, errors)
        os.close(errors)
        self._channels[reader] = _Channel(number, pid, reader)
        self._poll.register(reader, select.POLLIN)

    def _hear(self, channel: _Channel) -> None:
        """What sshd says of a channel. All its processes have the pipe, and none of the programs that it starts: at the
        end of it, sshd is gone.
        """
        content = os.read(channel.errors, 65536)
        *lines, rest = (channel.rest + content).split(b"\n")
        channel.rest = rest[-_LONGEST_LINE:]
        for line in lines:
            if _LOGIN.match(line):
                self.say(login=channel.number)
            elif found := _FORWARD.match(line.rstrip(b"\r")):
                self.say(forward=int(found[1] or 0))
        if content:
            return
        self._poll.unregister(channel.errors)
        del self._channels[channel.errors]
        os.close(channel.errors)
        with contextlib.suppress(OSError):
            os.unlink(f"{_PLACE}/key-{channel.number}")
        os.kill(channel.pid, signal.SIGKILL)  # one that goes on without its standard error would keep us waiting
        _, status = os.waitpid(channel.pid, 0)
        self.say(ended=channel.number, status=os.waitstatus_to_exitcode(status) % 256)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
