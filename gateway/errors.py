"""The errors that a person can act on, and the exit code of each.

Codes follow sysexits(3) where they fit. The table in docs/exit-codes.md is generated from the classes below, and a test
keeps the two equal. Only a `main` prints an error and exits.
"""

from __future__ import annotations

import errno


class EncError(Exception):
    """An error: a line for people (`str`), an optional hint, a stable name for programs (`slug`) and an exit code."""

    code = 70
    slug = "internal"

    def __init__(self, message: str, hint: str | None = "") -> None:
        super().__init__(message)
        self.hint = hint or ""

    def line(self) -> str:
        return f"{self}; {self.hint}" if self.hint else str(self)


class Usage(EncError):
    """The command has a wrong option, argument or name."""

    code = 64
    slug = "usage"


class DamagedVault(EncError):
    """A vault exists but is damaged; it was not changed."""

    code = 65
    slug = "damaged-vault"


class NoSuchProject(EncError):
    """You have no project of that name. The message does not tell whether somebody else has one."""

    code = 66
    slug = "no-such-project"


class NoSuchKey(EncError):
    """The key is neither in authorized_keys nor among the keys that wait for approval."""

    code = 66
    slug = "no-such-key"


class NotUnlocked(EncError):
    """The command needs an unlocked project, and the project is locked."""

    code = 69
    slug = "not-unlocked"


class Internal(EncError):
    """A bug or failure in the gateway; the audit log has a record of it."""


class CannotCreate(EncError):
    """The project already exists, or could not be created; nothing was left behind."""

    code = 73
    slug = "cannot-create"


class Unread(EncError):
    """A part of the project could not be read, so nobody knows whether it is damaged."""

    code = 74
    slug = "unread"


class Busy(EncError):
    """Another session holds it, or a limit is reached; try again later."""

    code = 75
    slug = "busy"

    def __init__(self, message: str, hint: str | None = "", host: str = "") -> None:
        """`host`: that of a cluster which has it and does not answer."""
        super().__init__(message, hint)
        self.host = host


class Elsewhere(EncError):
    """Another host of the cluster has it, or serves you as this one is drained: `host`, at `address` (NAME:PORT)."""

    code = 75
    slug = "elsewhere"

    def __init__(self, message: str, hint: str | None = "", host: str = "", address: str = "") -> None:
        super().__init__(message, hint)
        self.host, self.address = host, address


class Misconfigured(EncError):
    """The gateway's host or configuration is wrong; a sysadmin has to fix it."""

    code = 75
    slug = "misconfigured"


class Paused(EncError):
    """The gateway is paused: nothing new starts, and live sessions continue."""

    code = 75
    slug = "paused"


class Dropped(EncError):
    """The connection ended before the command did."""

    code = 75
    slug = "dropped"


class WrongSecret(EncError):
    """The passphrase does not unlock the project."""

    code = 77
    slug = "wrong-secret"


class Denied(EncError):
    """You are authenticated, but not allowed to do this."""

    code = 77
    slug = "denied"


class Stopped(EncError):
    """The program exceeded a limit (time, output, memory) and was ended. The code is timeout(1)'s."""

    code = 124
    slug = "stopped"


class Interrupted(EncError):
    """Interrupted before the end: by Ctrl-C (130), a closed terminal (129), SIGTERM (143), or too much CPU (152)."""

    code = 130
    slug = "interrupted"


class NotAllowedHere(EncError):
    """The command exists, but cannot be used here."""

    code = 126
    slug = "not-allowed-here"


class UnknownCommand(EncError):
    """There is no such command, or the line cannot be parsed."""

    code = 127
    slug = "unknown-command"


_STORAGE_LOST = (errno.ESHUTDOWN, errno.ENOTCONN, errno.EIO, errno.ESTALE)
"""What each access to a file system gets that does not work on this host any more: one from which Ceph has put the host
out, one whose FUSE process has ended, a disk that fails, a remote one that has lost the directory. Python makes a
BrokenPipeError of the first, which is no closed pipe.
"""


def is_storage_lost(fault: BaseException) -> bool:
    """Whether a file system call has failed so that no other path on that file system can be expected to work. Sockets
    and terminals can fail with the same numbers.
    """
    return isinstance(fault, OSError) and fault.errno in _STORAGE_LOST


def of_storage(fault: OSError, otherwise: str = "") -> Misconfigured:
    """The error for a file system call on the gateway's disk: one sentence if the disk is lost to this host, else
    `otherwise` with the reason.
    """
    if otherwise and not is_storage_lost(fault):
        return Misconfigured(otherwise, fault.strerror)
    about = f"the gateway's disk does not work on this host now: {fault.strerror}"
    return Misconfigured(about, "try another host of the gateway, or tell your sysadmin")


def fault_fields(fault: BaseException) -> dict[str, str]:
    """The audit fields of an unexpected exception: its type, and the file and line that raised it.

    Not its message, which could contain a secret or the name of a file in a view.
    """
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
    return {"fault": type(fault).__name__, "where": where}
