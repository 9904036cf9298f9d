"""What can go wrong on the user's side in a way that a person can act on, and the exit code that says so.

Codes follow sysexits(3), as those of the gateway do; an error that came from a gateway keeps the gateway's own.
"""

from __future__ import annotations


class EncError(Exception):
    """One line for a person (`str`), an optional hint, a stable name for programs (`slug`), and an exit code."""

    code = 70
    slug = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        return f"{self}; {self.hint}" if self.hint else str(self)


class Usage(EncError):
    """The words of the command do not fit, or there is no passphrase to be had."""

    code = 64
    slug = "usage"


class DamagedState(EncError):
    """What enc remembers of the gateway on this machine is not as it wrote it."""

    code = 65
    slug = "damaged-state"


class NoSuchProject(EncError):
    """The gateway has no project of that name for this key."""

    code = 66
    slug = "no-such-project"


class Missing(EncError):
    """A program or a place that is needed is not there on this machine."""

    code = 69
    slug = "missing"


class NotMounted(EncError):
    """The command needs a login or a mount and there is none."""

    code = 69
    slug = "not-mounted"


class CannotCreate(EncError):
    """The mount point is refused or cannot be made, or the mount failed; nothing was left behind."""

    code = 73
    slug = "cannot-create"


class Busy(EncError):
    """In use, or not possible just now."""

    code = 75
    slug = "busy"


class Unreachable(EncError):
    """The gateway does not answer, or the connection ended."""

    code = 75
    slug = "unreachable"


class HostKeyRefused(EncError):
    """The host key is not known, or it is another than the known one."""

    code = 76
    slug = "host-key"


class NotAccepted(EncError):
    """The gateway does not accept the key."""

    code = 77
    slug = "key-not-accepted"


class Misconfigured(EncError):
    """The config file is wrong, or names no gateway."""

    code = 78
    slug = "misconfigured"


class FromGateway(EncError):
    """What the gateway refused, in its own words and with its own code."""

    def __init__(self, message: str, hint: str, code: int, slug: str) -> None:
        super().__init__(message, hint)
        self.code = code
        self.slug = slug
