"""The command lines of the stock ssh, and what its words mean.

Two kinds. `direct` connects, with the user's ssh_config, and a host key that must be known: what stands here comes
before any config and cannot be undone by one. `shared` only ever uses a connection that is there: it reads no config,
and where ssh would connect by itself for want of a socket, it gets `false` for a network.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from typing import IO, Any

from client.errors import EncError, FromGateway, HostKeyRefused, Missing, NotAccepted, Unreachable
from client.state.config import Profile
from client.state.store import Store
from client.system import linux as platform

SSH = "ssh"
_FIXED = {
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "Tunnel": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "ControlPersist": "no",
    "ConnectTimeout": "10",
    "LogLevel": "ERROR",
}
THE_GATEWAY = "the gateway"
"""What a shared connection leads to, in messages."""
_FAILED = 255
"""What ssh ends with when it was not the command that failed."""


def options(fixed: dict[str, str]) -> list[str]:
    return [word for key, value in fixed.items() for word in ("-o", f"{key}={value}")]


def direct(profile: Profile, extra: dict[str, str] | None = None) -> list[str]:
    """Words up to the host, for a connection of its own; `extra` options come first, so they win."""
    words = [
        SSH,
        *options({**(extra or {}), **{key: value for key, value in _FIXED.items() if key not in (extra or {})}}),
    ]
    if profile.ssh_config:
        words += ["-F", profile.ssh_config]
    if profile.identity:  # it alone, so that an agent with many keys does not use up the attempts
        words += ["-i", profile.identity, "-o", "IdentitiesOnly=yes"]
    if profile.user:
        words += ["-l", profile.user]
    if profile.port:
        words += ["-p", str(profile.port)]
    return words


SHARED = {"ControlMaster": "no", "ProxyCommand": "false", "BatchMode": "yes", "LogLevel": "ERROR"}


def shared(store: Store) -> list[str]:
    """Words up to the host, over the connection of `store` and nothing else."""
    return [SSH, "-F", "none", "-S", escaped(store.socket), *options(SHARED)]


def escaped(path: str) -> str:
    """A path as ssh's ControlPath takes it, which expands %."""
    return path.replace("%", "%%")


def quoted(path: str) -> str:
    """A path as ssh takes it where several may stand."""
    return f'"{escaped(path)}"'


def line(words: tuple[str, ...] | list[str]) -> list[str]:
    """A gateway's command as the one word that ssh sends."""
    return [shlex.join(words)] if words else []


def ask(store: Store, *words: str, secret: bytes | None = None, seconds: float = 60.0) -> dict[str, Any]:
    """What the gateway answers to `words` over the connection: the object of --json. Raises what it refused.

    `secret` goes down its standard input, as one line.
    """
    argv = [*shared(store), "-T", "--", "enc", *line([*words, "--json"])]
    return _answer(argv, secret, seconds, THE_GATEWAY)


def ask_directly(
    profile: Profile, *words: str, secret: bytes | None = None, extra: dict[str, str] | None = None
) -> dict[str, Any]:
    """The same over a connection of its own."""
    argv = [*direct(profile, extra), "-T", "--", profile.host, *line([*words, "--json"])]
    return _answer(argv, secret, None, profile.host)


def _answer(argv: list[str], secret: bytes | None, seconds: float | None, host: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            argv, input=b"" if secret is None else secret + b"\n", capture_output=True, timeout=seconds, check=False
        )
    except FileNotFoundError as error:
        raise no_ssh() from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{host} does not answer", "the connection may be gone") from error
    said = done.stderr.decode(errors="replace")
    if done.returncode == _FAILED:
        raise failure(said, host)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise FromGateway(_last(said) or "the gateway gave no answer", "", done.returncode or 70, "unknown")
    if done.returncode:
        raise refused(answer, done.returncode)
    return answer


def refused(answer: dict[str, Any], status: int) -> FromGateway:
    """The gateway's own error, from its --json."""
    message, hint = str(answer.get("message", "the gateway refused")), str(answer.get("hint", ""))
    said = answer.get("exit")
    code = said if type(said) is int and 0 < said < 256 else status  # it is no success, whatever it says
    return FromGateway(message, hint, code, str(answer.get("error", "refused")))


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("enc: ") if lines else ""


def no_ssh() -> Missing:
    return Missing("ssh is not installed", "apt install openssh-client")


_OFFENDING = re.compile(r"Offending \S+ key in (.+?):(\d+)")
_KINDS: tuple[tuple[str, type[EncError], str, str], ...] = (
    ("Permission denied", NotAccepted, "{host} does not accept your key", "`enc doctor` looks at your keys"),
    ("Could not resolve hostname", Unreachable, "there is no host {host}", "check the name, or your network"),
    (
        "Connection refused",
        Unreachable,
        "{host} refuses connections on that port",
        "check the port, or wait until it is up",
    ),
    ("timed out", Unreachable, "{host} does not answer", "check the address, or your network"),
    ("No route to host", Unreachable, "there is no route to {host}", "check your network"),
    ("Network is unreachable", Unreachable, "the network is unreachable", "check your network"),
)


def failure(said: str, host: str) -> EncError:
    """What ssh's own words mean, when it was ssh that failed."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said or "Offending" in said:
        where = _OFFENDING.search(said)
        at = f"{where[1]} line {where[2]}" if where else "known_hosts"
        hint = f"somebody may be listening. Ask your sysadmin; if they changed it, remove {at} and run `enc init`"
        return HostKeyRefused(f"the host key of {host} is not the one in {at}", hint)
    if "host key is known" in said or "Host key verification failed" in said:
        return HostKeyRefused(f"the host key of {host} is not known here", "`enc init` shows it to you and asks")
    for sign, kind, message, hint in _KINDS:
        if sign in said:
            return kind(message.format(host=host), hint)
    if "kex_exchange_identification: Connection closed" in said and host == THE_GATEWAY:
        return Unreachable("the connection has just ended", "try again")
    detail = f" ({_last(said)})" if _last(said) else ""
    return Unreachable(f"the connection to {host} failed{detail}", "`enc doctor` looks into it")


def pass_on(argv: list[str], host: str) -> int:
    """Run ssh on our own standard descriptors; the exit status of the command. Raises when ssh itself fails.

    ssh's own words go into a file of our memory (-E), so that they stay apart from what the command prints.
    """
    log = os.memfd_create("ssh")
    try:
        status = subprocess.call([argv[0], "-E", f"/proc/{os.getpid()}/fd/{log}", *argv[1:]])
    except FileNotFoundError as error:
        raise no_ssh() from error
    with open(log, "rb") as file:
        file.seek(0)
        said = file.read().decode(errors="replace")
    if status == _FAILED and said:
        raise failure(said, host)
    return status


def start_master(profile: Profile, store: Store, out: IO[bytes], err: IO[bytes]) -> int:
    """Connect, open a session on the connection, and leave ssh in the background, holding both; ssh's exit status.

    ssh asks at the terminal what it has to (-f goes to the background after that). The connection goes with it.
    """
    extra = {"ControlMaster": "yes", "ServerAliveInterval": "5", "ServerAliveCountMax": "3"}
    try:
        words = [*direct(profile, {**extra, **_faster(profile)}), "-S", escaped(store.socket)]
        words += ["-f", "-T", "--", profile.host, "session --json"]
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False).returncode
    except FileNotFoundError as error:
        raise no_ssh() from error


def _faster(profile: Profile) -> dict[str, str]:
    """AES-GCM before ChaCha20, where the processor has AES and the user's config does not choose a cipher itself."""

    def ciphers(*config: str) -> list[str]:
        said = subprocess.run([SSH, *config, "-G", "--", profile.host], capture_output=True, text=True, check=False)
        return [line for line in said.stdout.splitlines() if line.startswith("ciphers ")]

    own = ciphers("-F", profile.ssh_config) if profile.ssh_config else ciphers()
    return {"Ciphers": "^aes128-gcm@openssh.com"} if platform.has_aes() and own == ciphers("-F", "none") else {}


def master_pid(store: Store) -> int | None:
    """The pid of the ssh that holds the connection; None when there is none that answers."""
    argv = [*shared(store), "-O", "check", "--", "enc"]
    try:
        said = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"pid=(\d+)", said)
    return int(found[1]) if found else None
