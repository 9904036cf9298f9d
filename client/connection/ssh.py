"""The command lines of the stock ssh, and running them.

There are two kinds. `direct` makes a new connection with the user's ssh_config, to a host whose key must be known: the
options here come first on the command line, so no config can change them. `shared` only uses a connection that exists:
it reads no config, and where ssh would make a new connection because the socket is gone, its ProxyCommand is `false`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import lru_cache
from typing import IO

from client.connection import ssh_errors, ssh_options
from client.state.config import Profile
from client.state.store import Store
from client.system import children, linux

SSH = "ssh"
FAILED = 255
"""The exit status of ssh when ssh itself failed, and not the command on the gateway."""


def direct(profile: Profile, extra: dict[str, str] | None = None) -> list[str]:
    """Words up to the host, for a new connection. `extra` options replace fixed ones."""
    chosen = {**ssh_options.FIXED, **(extra or {})}
    if profile.identity:  # only this key: an agent with many keys would use up the server's attempts
        chosen |= {"IdentityFile": ssh_options.quoted(profile.identity), "IdentitiesOnly": "yes"}
    if profile.address:
        chosen |= _to_other_host(profile)
    words = [SSH, *ssh_options.words(chosen)]
    if profile.ssh_config:
        words += ["-F", profile.ssh_config]
    if profile.user:
        words += ["-l", profile.user]
    if profile.port and not profile.address:
        words += ["-p", str(profile.port)]
    return words


def _to_other_host(profile: Profile) -> dict[str, str]:
    """The options that lead to another host of the gateway's cluster. Everything else that the user's config says of
    the gateway counts for it too, a jump host for one; and its host key has to be that which is known of the gateway.
    """
    said = settings(profile._replace(other="", address=""))
    name, port = said.get("hostname", profile.host).lower(), said.get("port", "22")
    known_as = said.get("hostkeyalias") or (name if port == "22" else f"[{name}]:{port}")  # as ssh looks for it
    host, _, port = profile.address.rpartition(":")
    return {
        "HostName": host.strip("[]"),
        "Port": port,
        "HostKeyAlias": known_as,
        "VerifyHostKeyDNS": "no",  # ssh asks for HostName: whoever names a host could vouch for its key
    }


@lru_cache(maxsize=8)
def settings(profile: Profile) -> dict[str, str]:
    """What ssh and the user's config make of the gateway, by option in lower case, as `ssh -G` prints it. It runs the
    commands of the config's `Match exec`. Raises Missing.
    """
    try:
        argv = [*direct(profile), "-T", "-G", "--", profile.host]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    return dict(line.split(" ", 1) for line in os.fsdecode(done.stdout).split("\n") if " " in line)


def shared(store: Store) -> list[str]:
    """Words up to the host, over the existing connection of `store`."""
    return [SSH, "-F", "none", "-S", ssh_options.escaped(store.socket), *ssh_options.words(ssh_options.SHARED)]


def command_line(words: tuple[str, ...] | list[str]) -> list[str]:
    """A gateway command as the single word in which ssh sends it; none for no words.

    It begins with `enc`: so the gateway's hints name commands as a user of enc types them.
    """
    return [f"enc {shlex.join(words)}"] if words else []


def memory_file(content: bytes) -> tuple[int, str]:
    """An anonymous file with `content`, for a program that we start with it open, and its path there. The caller
    closes it.
    """
    fd = os.memfd_create("enc")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd, f"/proc/self/fd/{fd}"


def run_attached(argv: list[str], host: str, stdout: IO[bytes] | None = None) -> int:
    """Run ssh on our own standard descriptors; the exit status of the command. Raises when ssh itself fails. With
    `stdout` its output goes there.

    ssh writes its own messages to an anonymous file (-E), so they do not mix with the command's output.
    """
    log = os.memfd_create("ssh")
    try:
        status = children.call([argv[0], "-E", f"/proc/{os.getpid()}/fd/{log}", *argv[1:]], stdout=stdout)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    with open(log, "rb") as file:
        file.seek(0)
        text = file.read().decode(errors="replace")
    if status == FAILED and text:
        raise ssh_errors.explain(text, host)
    return status


def start_master(profile: Profile, store: Store, out: IO[bytes], err: IO[bytes]) -> int:
    """Connect, and open a session on the connection; ssh's exit status.

    ssh asks at the terminal what it has to ask, then goes to the background (-f) and holds both until one of them ends.
    """
    extra = {"ControlMaster": "yes", "ServerAliveInterval": "5", "ServerAliveCountMax": "3"}
    try:
        words = [*direct(profile, {**extra, **_cipher(profile)}), "-S", ssh_options.escaped(store.socket)]
        words += ["-f", "-T", "--", profile.host, *command_line(["session", "--json"])]
        return children.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err).returncode
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error


def _cipher(profile: Profile) -> dict[str, str]:
    """Prefer AES-GCM to ChaCha20, if the processor has AES and the user's config does not choose ciphers."""

    def ciphers(*config: str) -> list[bytes]:
        done = children.run(
            [SSH, *config, "-T", "-G", "--", profile.host], stdin=subprocess.DEVNULL, capture_output=True
        )
        return [line for line in done.stdout.split(b"\n") if line.startswith(b"ciphers ")]

    own = ciphers("-F", profile.ssh_config) if profile.ssh_config else ciphers()
    return {"Ciphers": "^aes128-gcm@openssh.com"} if linux.has_aes() and own == ciphers("-F", "none") else {}
