"""The command lines and exit codes of gocryptfs. No other module knows them.

The codes are those that versions 2.3 and 2.4 return; the manual lists others. tests/system/test_gocryptfs_contract.py
checks them.
"""

from __future__ import annotations

import os

from gateway.base import process
from gateway.errors import CannotCreate, DamagedVault, EncError, Internal, WrongSecret

PROGRAM = "/usr/bin/gocryptfs"
READY = b"Filesystem mounted and ready."
LOST_NAME = ': "gocryptfs.longname.'
"""In the output of `fsck_argv` when something has a long name that cannot be read."""

_NO_CIPHER, _INIT_FAILED, _EMPTY_SECRET, _BAD_CONFIG, _WRONG_SECRET, _UNFIT_CONFIG = 6, 7, 9, 11, 12, 27
_NOT_SERVED = 19
_CORRUPT = 26
_NOT_THIS_KEY = "use another agent with the same key, or another way to unlock (`slots` lists them)"


def require() -> None:
    """Raise Misconfigured unless gocryptfs is installed."""
    process.require(PROGRAM, "gocryptfs")


def version_text() -> str:
    """What it prints about its version, up to 4 KiB. Raises Internal if it cannot be started, or does not end."""
    return process.run([PROGRAM, "-version"])[1][:4096].strip()


PASSPHRASE_LOG_N = 16
"""The cost of a secret that a person chose, unless the gateway has another: gocryptfs's default, 64 MiB of memory."""
STRONG_LOG_N = 10
"""The cost of one of 256 bits, which nobody can guess: the least that gocryptfs has."""


def create(cipher: str, config: str, secret_fd: int, log_n: int = PASSPHRASE_LOG_N) -> None:
    """Create a gocryptfs file system (AES-256-GCM, scrypt at the cost 2^`log_n`) in the empty directory `cipher`.

    The passphrase is the first line read from `secret_fd`. Raises CannotCreate, Misconfigured.
    """
    require()
    secret = f"/proc/self/fd/{secret_fd}"
    argv = [PROGRAM, "-init", "-q", "-nosyslog", "-scryptn", str(log_n), "-config", config, "-passfile", secret, cipher]
    status, output = process.run(argv, [secret_fd])
    if status == _EMPTY_SECRET:
        raise CannotCreate("the passphrase is empty")
    if status:
        full = "no space left" in output
        reason = "no space left on the gateway's disk" if full else f"gocryptfs failed with exit status {status}"
        raise CannotCreate(f"the project could not be created: {reason}")


def mount_argv(cipher: str, config_fd: int, secret_fd: int, fuse_fd: int) -> list[str]:
    """gocryptfs, to serve `cipher` on a FUSE mount that the caller has made; `fuse_fd` is its /dev/fuse descriptor.

    Because the caller mounts, gocryptfs needs no capability and no fusermount3. It prints READY when it serves.
    """
    return [PROGRAM, "-fg", "-nosyslog", *_by_descriptor(config_fd, secret_fd), cipher, f"/dev/fd/{fuse_fd}"]


def view_argv(cipher: str, config_fd: int, secret_fd: int, view: str, read_only: bool = False) -> list[str]:
    """gocryptfs, to mount `cipher` on the directory `view` with fusermount3, and serve it."""
    options = ["-ro"] if read_only else []
    return [PROGRAM, "-fg", "-q", "-nosyslog", *options, *_by_descriptor(config_fd, secret_fd), cipher, view]


def fsck_argv(cipher: str, config_fd: int, secret_fd: int) -> list[str]:
    """gocryptfs, to check every name and every block of `cipher`. It prints problems with decrypted names."""
    return [PROGRAM, "-fsck", "-nosyslog", *_by_descriptor(config_fd, secret_fd), cipher]


def change_secret(cipher: str, config: str, directory_fd: int, secrets_fd: int, log_n: int) -> None:
    """Wrap the master key in the file `config` under another secret, which costs 2^`log_n` to check.

    The old and the new secret are the two lines that are read from `secrets_fd`. gocryptfs writes a file beside
    `config`, and renames it. `cipher` is not looked at, but must be there. Both paths go through `directory_fd`
    (/proc/self/fd/N). Raises EncError, and then changes nothing.
    """
    require()
    argv = [PROGRAM, "-passwd", "-q", "-nosyslog", "-scryptn", str(log_n), "-config", config, cipher]
    status, output = process.run(argv, [directory_fd], stdin=secrets_fd)
    if status == 0:
        return
    if "no space left" in output:
        raise CannotCreate("the way to unlock could not be made: no space left on the gateway's disk")
    raise failure(status)


def _by_descriptor(config_fd: int, secret_fd: int) -> tuple[str, ...]:
    return "-config", f"/proc/self/fd/{config_fd}", "-passfile", f"/proc/self/fd/{secret_fd}"


def is_corrupt(status: int) -> bool:
    """Whether the exit status of `fsck_argv` means that it found damage."""
    return status == _CORRUPT


def try_secret(cipher: str, config_fd: int, secret_fd: int) -> int:
    """Let gocryptfs decrypt the vault's key, with /dev/null in the place of FUSE, so that it mounts nothing and ends.

    Its exit status, for `is_proof` and `failure`.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        return process.run(mount_argv(cipher, config_fd, secret_fd, null), [config_fd, secret_fd, null])[0]
    finally:
        os.close(null)


def is_proof(status: int) -> bool:
    """Whether the exit status of `try_secret` means that the secret is right: gocryptfs decrypted the vault's key, and
    only then could not serve.
    """
    return status == _NOT_SERVED


def failure(status: int, kind: str = "passphrase") -> EncError:
    """The error for a gocryptfs (`mount_argv`, `fsck_argv`) that ended with `status` before it served. `kind` is that
    of the slot.
    """
    if status in (_WRONG_SECRET, _EMPTY_SECRET):
        return wrong_secret(kind)
    if status in (_BAD_CONFIG, _UNFIT_CONFIG):
        return DamagedVault("the project's unlock slot is damaged", "a sysadmin can restore slots/ from a backup")
    if status == _NO_CIPHER:
        return DamagedVault("the project's ciphertext is missing", "a sysadmin can restore cipher/ from a backup")
    return Internal(f"gocryptfs ended with exit status {status} before it was done")


def wrong_secret(kind: str) -> WrongSecret:
    """The error for a secret that does not open a slot of that kind."""
    if kind == "ssh-key":  # the signature was verified
        return WrongSecret("your key or agent signs differently each time, so it cannot unlock", _NOT_THIS_KEY)
    return WrongSecret(f"wrong {'recovery code' if kind == 'recovery' else kind}")
