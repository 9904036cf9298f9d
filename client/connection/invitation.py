"""An invitation: a code from a sysadmin, with which one key can be handed in once.

The code (format: docs/protocol.md) has a private key and the gateway's host key. The private key becomes a file for ssh
in a private directory on the user's tmpfs, mode 0600, while one connection uses it. Nothing of the code is put in an
argument list or in the environment.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from client.connection import request
from client.connection.host_key import HostKey
from client.errors import HostKeyRefused, NotAccepted, Usage
from client.state import runtime_dir
from client.state.config import Profile

PREFIX = "enc1-"
_KIND = b"ssh-ed25519"


class Invitation(NamedTuple):
    """The key pair of the invitation, and the gateway's Ed25519 host key; None when the code has none."""

    seed: bytes
    public: bytes
    host: bytes | None

    def private_file(self) -> str:
        """The private key in the format of OpenSSH's PROTOCOL.key."""
        blob = _strings(_KIND, self.public)
        inner = bytes(8) + blob + _strings(self.seed + self.public, b"")
        inner += bytes(range(1, 1 + -len(inner) % 8))
        whole = b"openssh-key-v1\0" + _strings(b"none", b"none", b"") + (1).to_bytes(4, "big") + _strings(blob, inner)
        text = base64.b64encode(whole).decode()
        return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n"


def parse(code: str) -> Invitation:
    """The invitation that `code` stands for. Raises Usage, whose message does not repeat the code."""
    hint = "paste all of it, as your sysadmin sent it"
    wrong = Usage("this is not an invitation code, or a part of it is missing", hint)
    code = "".join(code.split())
    if not code.startswith(PREFIX):
        raise wrong
    text = code.removeprefix(PREFIX)
    try:
        payload = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise wrong from None
    if len(payload) != 100 or zlib.crc32(payload[:96]) != int.from_bytes(payload[96:], "big"):
        raise wrong
    return Invitation(payload[:32], payload[32:64], payload[64:96] if any(payload[64:96]) else None)


def vouches_for(invitation: Invitation, shown: HostKey) -> bool:
    """Whether `shown` is the code's host key; False when the code has none. Raises HostKeyRefused for another key."""
    if invitation.host is None:
        return False
    expected = base64.b64encode(_strings(_KIND, invitation.host)).decode()
    if shown.line.split()[-1] != expected:
        hint = "somebody may be intercepting the connection; ask your sysadmin"
        raise HostKeyRefused("the host key is not the one in the invitation", hint)
    return True


def enrol(profile: Profile, invitation: Invitation, public: str) -> dict[str, object]:
    """Send the public key file `public` to the gateway; its answer. Raises what the gateway or ssh refuses."""
    with open(public, "rb") as file, _as_file(invitation) as key:
        extra = {"IdentityAgent": "none", "CertificateFile": "none", "ControlPath": "none", "BatchMode": "yes"}
        line = file.read().removesuffix(b"\n")
        try:
            return request.send_directly(profile._replace(identity=key), "enrol", secret=line, extra=extra)
        except NotAccepted:
            message = "the invitation has expired or was withdrawn, or --user is not the gateway's account"
            hint = "ask your sysadmin for a new one; the account is usually enc"
            raise NotAccepted(message, hint) from None


@contextlib.contextmanager
def _as_file(invitation: Invitation) -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="invite-", dir=runtime_dir.path())
    try:
        path = os.path.join(directory, "key")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(invitation.private_file())
        yield path
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _strings(*parts: bytes) -> bytes:
    """Each part after its length in 4 bytes: an SSH string (RFC 4251)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
