"""The stock ssh-keygen: what a key file is, and making a key."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from client.connection import ssh_errors
from client.errors import CannotCreate

_SSH_KEYGEN = "ssh-keygen"
_SIGN_SECONDS = 60.0
"""An agent may ask its user (ssh-add -c)."""
_ASKING = ("SSH_ASKPASS", "DISPLAY", "WAYLAND_DISPLAY")


class KeyInfo(NamedTuple):
    """`fingerprint` and `kind` as ssh-keygen prints them: SHA256:... and ED25519."""

    fingerprint: str
    kind: str


def describe(path: str) -> KeyInfo | None:
    """The first key in the file: public, private or known_hosts. None when it has none. Raises Missing."""
    try:
        done = subprocess.run([_SSH_KEYGEN, "-lf", path], capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    words = done.stdout.split()
    return KeyInfo(words[1], words[-1].strip("()")) if not done.returncode and len(words) > 2 else None


def create(path: str, asks: bool = True) -> bool:
    """Make an Ed25519 key pair at `path` unless it exists; whether one was made.

    ssh-keygen asks for its passphrase if it `asks` and there is a terminal; otherwise it has none. Raises CannotCreate,
    Missing.
    """
    if os.path.lexists(path) or os.path.lexists(f"{path}.pub"):
        if not (os.path.isfile(path) and os.path.isfile(f"{path}.pub")):
            raise CannotCreate(f"only one of the files {path} and {path}.pub exists", "name another key file with -i")
        return False
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        words = [] if asks and os.isatty(0) else ["-N", ""]
        done = subprocess.run([_SSH_KEYGEN, "-q", "-t", "ed25519", *words, "-f", path], check=False)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    except OSError as error:
        raise CannotCreate(f"{path} cannot be created", error.strerror or "") from error
    if done.returncode:
        raise CannotCreate(f"ssh-keygen did not make a key at {path}")
    return True


def sign(path: str, namespace: str, text: bytes, pass_fds: tuple[int, ...] = ()) -> bytes | None:
    """The armoured signature of `text` by the private key at `path`, or by the agent's key if `path` has a public one.

    None when there is none: it asks for nothing, so a key file with a passphrase signs only through an agent. Raises
    Missing.
    """
    argv = [_SSH_KEYGEN, "-Y", "sign", "-q", "-n", namespace, "-f", path]
    environment = {name: value for name, value in os.environ.items() if name not in _ASKING}
    try:
        done = subprocess.run(
            argv,
            input=text,
            capture_output=True,
            check=False,
            env={**environment, "SSH_ASKPASS_REQUIRE": "never"},
            pass_fds=pass_fds,
            start_new_session=True,  # without a terminal, it has nowhere to ask
            timeout=_SIGN_SECONDS,
        )
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    except subprocess.TimeoutExpired:
        return None
    signed = not done.returncode and done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----")
    return done.stdout if signed else None
