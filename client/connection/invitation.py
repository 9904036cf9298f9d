"""An invitation: the code that a sysadmin gives out, and what it is good for: one key, handed in once.

docs/protocol.md has the code's format. It means a private key and the gateway's host key. Both become files for ssh in
a directory of ours on the user's tmpfs, mode 0600, for as long as one connection takes; nothing of the code goes into
an argument list or an environment.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from client.connection import ssh
from client.connection.host_key import HostKey
from client.errors import CannotCreate, FromGateway, HostKeyRefused, NotAccepted, Usage
from client.state import store
from client.state.config import Profile

_START = "enc1-"
_KIND = b"ssh-ed25519"
_KEYGEN = "ssh-keygen"


class Invitation(NamedTuple):
    """The key pair of the invitation, and the gateway's Ed25519 host key; None where the code has none."""

    seed: bytes
    public: bytes
    host: bytes | None

    def private_file(self) -> str:
        """The private key, as OpenSSH's PROTOCOL.key has it."""
        blob = _strings(_KIND, self.public)
        inner = bytes(8) + blob + _strings(self.seed + self.public, b"")
        inner += bytes(range(1, 1 + -len(inner) % 8))
        whole = b"openssh-key-v1\0" + _strings(b"none", b"none", b"") + (1).to_bytes(4, "big") + _strings(blob, inner)
        text = base64.b64encode(whole).decode()
        return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n"


def parse(code: str) -> Invitation:
    """What `code` means. Raises Usage, which does not repeat it."""
    wrong = Usage("that is no invitation code, or it is not whole", "paste it as your sysadmin gave it to you")
    code = "".join(code.split())
    if not code.startswith(_START):
        raise wrong
    text = code.removeprefix(_START)
    try:
        payload = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise wrong from None
    if len(payload) != 100 or zlib.crc32(payload[:96]) != int.from_bytes(payload[96:], "big"):
        raise wrong
    return Invitation(payload[:32], payload[32:64], payload[64:96] if any(payload[64:96]) else None)


def host_key(invitation: Invitation, shown: HostKey) -> bool:
    """Whether `shown` is the code's host key; False when the code has none. Raises HostKeyRefused for another."""
    if invitation.host is None:
        return False
    expected = base64.b64encode(_strings(_KIND, invitation.host)).decode()
    if shown.line.split()[-1] != expected:
        raise HostKeyRefused(
            "the host key is not the one of the invitation", "somebody may be listening; ask your sysadmin"
        )
    return True


def make_key(path: str) -> bool:
    """An Ed25519 key pair at `path`, unless one is there, which is taken as it is; whether one was made.

    ssh-keygen asks for its passphrase where there is a terminal. Raises CannotCreate.
    """
    if os.path.lexists(path) or os.path.lexists(f"{path}.pub"):
        if not (os.path.isfile(path) and os.path.isfile(f"{path}.pub")):
            raise CannotCreate(f"{path} and {path}.pub are not both there", "name another key file with -i")
        return False
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        words = [] if os.isatty(0) else ["-N", ""]
        done = subprocess.run([_KEYGEN, "-q", "-t", "ed25519", *words, "-f", path], check=False)
    except FileNotFoundError as error:
        raise ssh.no_ssh() from error
    except OSError as error:
        raise CannotCreate(f"{path} cannot be made", error.strerror or "") from error
    if done.returncode:
        raise CannotCreate(f"ssh-keygen made no key at {path}")
    return True


def hand_in(profile: Profile, invitation: Invitation, public: str) -> dict[str, object]:
    """The gateway's answer to the public key file `public`. Raises what it, or ssh, refused."""
    with open(public, "rb") as file, _as_file(invitation) as key:
        extra = {"IdentityAgent": "none", "CertificateFile": "none", "ControlPath": "none", "BatchMode": "yes"}
        argv = [*ssh.direct(profile._replace(identity=key), extra), "-T", "--", profile.host, "enrol --json"]
        done = subprocess.run(argv, stdin=file, capture_output=True, check=False)
    if done.returncode == 255:
        error = ssh.failure(done.stderr.decode(errors="replace"), profile.host)
        if isinstance(error, NotAccepted):
            hint = "is --user the gateway's account, usually enc? Else ask your sysadmin for another one"
            raise NotAccepted("the invitation is no longer good, or not for this account", hint)
        raise error
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise FromGateway("the gateway gave no answer", "", done.returncode or 70, "unknown") from None
    if done.returncode or not isinstance(answer, dict):
        raise ssh.refused(answer if isinstance(answer, dict) else {}, done.returncode or 70)
    return answer


@contextlib.contextmanager
def _as_file(invitation: Invitation) -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="invite-", dir=store.runtime())
    try:
        path = os.path.join(directory, "key")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(invitation.private_file())
        yield path
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
