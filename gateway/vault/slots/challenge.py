"""What is signed to unlock by SSH key, and how the signature becomes a secret.

An Ed25519 signature of the same bytes is the same each time (RFC 8032), and nobody can make it without the key. So the
secret is HKDF-SHA256 over the 64 bytes of the signature. Nothing that is stored in a vault tells it.
"""

from __future__ import annotations

import binascii
import os

from gateway.base.records import Record
from gateway.errors import Usage
from gateway.vault import realm as realms
from gateway.vault.slots import hkdf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.vault.slots.stored import Slot

VERSION = "enc-unlock-1"
LINES = 5
_FIELDS = {"realm": realms.DIGITS, "vault": 16, "slot": 16, "salt": 64}
"""Hexadecimal digits of each."""
_HEX = frozenset("0123456789abcdef")


class Challenge(Record):
    """For one slot of one vault in the store with that realm. All are hexadecimal."""

    realm: str
    vault: str
    slot: str
    salt: str

    @property
    def text(self) -> str:
        """What is signed, as it is: with the newline at its end."""
        return "".join((f"{VERSION}\n", *(f"{name} {self.as_dict()[name]}\n" for name in _FIELDS)))


def new(realm: str, vault: str) -> Challenge:
    """One for a slot that is to be made."""
    return Challenge(realm=realm, vault=vault, slot=os.urandom(8).hex(), salt=os.urandom(32).hex())


def of(slot: Slot, vault: str) -> Challenge:
    """The one that opens `slot` of the vault with that id."""
    return Challenge(realm=slot.realm, vault=vault, slot=slot.id, salt=slot.salt)


def parse(lines: list[bytes]) -> Challenge:
    """The challenge in its LINES lines. Raises Usage."""
    words = [line.decode("ascii", "replace").rstrip("\r").split(" ") for line in lines]
    pairs = [pair for pair in words[1:] if len(pair) == 2]
    found = {name: value for name, value in pairs if len(value) == _FIELDS.get(name, 0) and _HEX.issuperset(value)}
    if len(words) != LINES or words[0] != [VERSION] or list(found) != list(_FIELDS):
        raise Usage("that is not a challenge of this gateway", "`challenge PROJECT --new` prints one")
    return Challenge(**found)


def secret(challenge: Challenge, signature: bytes, public_key: str) -> bytes:
    """The secret of the slot (64 hexadecimal digits): gocryptfs's passphrase. `signature` is the raw one, 64 bytes;
    `public_key` the key's blob in base64.
    """
    info = " ".join((VERSION, challenge.vault, challenge.slot, public_key)).encode()
    return binascii.hexlify(hkdf.derive(signature, bytes.fromhex(challenge.salt), info))
