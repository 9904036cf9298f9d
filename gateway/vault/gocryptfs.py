"""The only module that knows gocryptfs: its command lines, and what its exit codes mean.

Codes are those that 2.3 and 2.4 return, not those of the manual; tests/system/test_gocryptfs_contract.py pins them.
"""

from __future__ import annotations

from gateway.base import process
from gateway.errors import CannotCreate, DamagedVault, EncError, Internal, WrongSecret

PROGRAM = "/usr/bin/gocryptfs"
READY = b"Filesystem mounted and ready."

_NO_CIPHER, _INIT_FAILED, _EMPTY_SECRET, _BAD_CONFIG, _WRONG_SECRET, _UNFIT_CONFIG = 6, 7, 9, 11, 12, 27
_CORRUPT = 26


def require() -> None:
    """Raise Misconfigured unless gocryptfs can be run."""
    process.require(PROGRAM, "gocryptfs")


def create(cipher: str, config: str, secret_fd: int) -> None:
    """Make an empty gocryptfs file system (AES-256-GCM, scrypt at the default cost) in the empty directory `cipher`.

    The passphrase is the first line behind `secret_fd`. Raises CannotCreate.
    """
    require()
    secret = f"/proc/self/fd/{secret_fd}"
    argv = [PROGRAM, "-init", "-q", "-nosyslog", "-config", config, "-passfile", secret, cipher]
    status, said = process.run(argv, [secret_fd])
    if status == _EMPTY_SECRET:
        raise CannotCreate("an empty passphrase protects nothing")
    if status:
        reason = "no space left on the gateway's disk" if "no space left" in said else f"gocryptfs ended with {status}"
        raise CannotCreate(f"the project could not be created: {reason}")


def mount_argv(cipher: str, config: str, secret_fd: int, fuse_fd: int) -> list[str]:
    """Serve `cipher` on a FUSE mount that the caller made and whose descriptor is `fuse_fd`.

    The caller mounts, so gocryptfs needs no capability and no fusermount3. It says READY when it serves.
    """
    secret = f"/proc/self/fd/{secret_fd}"
    return [PROGRAM, "-fg", "-nosyslog", "-config", config, "-passfile", secret, cipher, f"/dev/fd/{fuse_fd}"]


def fsck_argv(cipher: str, config: str, secret_fd: int) -> list[str]:
    """Check every name and every block of `cipher`. It says what is wrong with the names that the view would have."""
    secret = f"/proc/self/fd/{secret_fd}"
    return [PROGRAM, "-fsck", "-nosyslog", "-config", config, "-passfile", secret, cipher]


def is_corrupt(status: int) -> bool:
    """Whether a gocryptfs that was started with `fsck_argv` found something."""
    return status == _CORRUPT


def failure(status: int) -> EncError:
    """Why a gocryptfs started with `mount_argv` ended before it served."""
    if status in (_WRONG_SECRET, _EMPTY_SECRET):
        return WrongSecret("wrong passphrase")
    if status in (_BAD_CONFIG, _UNFIT_CONFIG):
        return DamagedVault("the project's unlock slot is damaged", "a sysadmin can restore slots/ from a backup")
    if status == _NO_CIPHER:
        return DamagedVault("the project's ciphertext is missing", "a sysadmin can restore cipher/ from a backup")
    return Internal(f"gocryptfs ended with {status} before it served the project")
