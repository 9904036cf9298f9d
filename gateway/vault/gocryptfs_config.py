"""gocryptfs's config files: which of them the gateway passes on to gocryptfs.

A config file says what a passphrase costs to check, so a forged one can take the host's memory and processor. It also
says how names and contents are encrypted. So it is checked, and gocryptfs gets it in our own spelling: it is written in
Go, whose JSON reader takes `scryptobject` for `ScryptObject` and the last of two.
"""

from __future__ import annotations

from gateway.base import json
from gateway.base.sha256 import sha256

MAX_BYTES = 16 * 1024
"""Largest config file that is read; they have about 400 bytes."""

MAX_LOG_N = 18
"""Highest cost of a passphrase, as of `gocryptfs -scryptn`: 256 MiB of memory and about a second, four times the
default. scrypt's other parameters (RFC 7914) are those that gocryptfs always uses.
"""
_COSTS = tuple(1 << log for log in range(10, MAX_LOG_N + 1))
_R, _P, _KEY_BYTES = 8, 1, 32

_FIELDS: dict[str, type] = {
    "Creator": str,
    "EncryptedKey": str,
    "ScryptObject": dict,
    "Version": int,
    "FeatureFlags": list,
}
_OPTIONAL_FIELDS: dict[str, type] = {"LongNameMax": int}
_SCRYPT_FIELDS: dict[str, type] = {"Salt": str, "N": int, "R": int, "P": int, "KeyLen": int}
_FLAGS = {"HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"}
"""What `gocryptfs.create` makes: contents by AES-256-GCM, names by EME."""


def checked(content: bytes) -> str:
    """The config in `content`, in our own spelling. Raises ValueError for one that we do not pass to gocryptfs."""
    try:
        config = json.loads(content)
    except RecursionError as error:
        raise ValueError("no config file of gocryptfs") from error
    _require_fields(config, _FIELDS, _OPTIONAL_FIELDS)
    scrypt = config["ScryptObject"]
    _require_fields(scrypt, _SCRYPT_FIELDS, {})
    if scrypt["N"] not in _COSTS or (scrypt["R"], scrypt["P"], scrypt["KeyLen"]) != (_R, _P, _KEY_BYTES):
        raise ValueError("a passphrase would cost too much, or next to nothing")
    if sorted(map(str, config["FeatureFlags"])) != sorted(_FLAGS):
        raise ValueError("another kind of encryption")
    return json.dumps({name: config[name] for name in sorted(config)})


def _require_fields(values: object, required: dict[str, type], optional: dict[str, type]) -> None:
    if not isinstance(values, dict) or not required.keys() <= values.keys() <= {**required, **optional}.keys():
        raise ValueError("no config file of gocryptfs")
    for name, value in values.items():
        if type(value) is not {**required, **optional}[name]:
            raise ValueError(f"{name} has another type")


def binding(vault_id: str, config: str) -> str:
    """What binds a config (as `checked` returns it) to the vault with that id: a hash of both.

    It finds a config that was put into another vault. It is no signature: whoever can write one can write the other.
    """
    digest: str = sha256(f"{vault_id}\0{config}".encode()).hexdigest()
    return digest
