"""The errors that a user can act on, and their exit codes.

The codes follow sysexits(3), as the gateway's do. An error that the gateway reports keeps the gateway's code.
"""

from __future__ import annotations


class EncError(Exception):
    """`str` says in one line what is wrong, `hint` what to do. `slug` is its name in JSON, `code` the exit code."""

    code = 70
    slug = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Usage(EncError):
    """The command line is wrong, or no passphrase was given."""

    code = 64
    slug = "usage"


class DamagedState(EncError):
    """The file in which enc records what is connected and mounted is damaged or gone."""

    code = 65
    slug = "damaged-state"


class NoSuchProject(EncError):
    """The gateway has no project of that name for this key."""

    code = 66
    slug = "no-such-project"


class Missing(EncError):
    """A program or directory that enc needs is missing on this machine."""

    code = 69
    slug = "missing"


class NotMounted(EncError):
    """The command needs a login or a mount, and there is none."""

    code = 69
    slug = "not-mounted"


class CannotCreate(EncError):
    """The mount point is refused or cannot be created, or mounting failed; nothing was left behind."""

    code = 73
    slug = "cannot-create"


class Busy(EncError):
    """In use, or not possible at the moment."""

    code = 75
    slug = "busy"


class Unreachable(EncError):
    """The gateway does not answer, or the connection has closed."""

    code = 75
    slug = "unreachable"


class HostIsSilent(Unreachable):
    """The other host to which the gateway sends for a project is not reached. The gateway learns 20 s later that it
    does not answer.
    """

    def __init__(self, host: str, message: str) -> None:
        super().__init__(message, f"try again: if {host} has died, another host unlocks it at most 45 s later")


class HostKeyRefused(EncError):
    """The host key is not known, or is not the known one."""

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


class NoSuchCommand(EncError):
    """There is no such command."""

    code = 127
    slug = "unknown-command"


class FromGateway(EncError):
    """What the gateway refused: its message, hint, code and slug. `host`: of a cluster, which it is about."""

    def __init__(self, message: str, hint: str, code: int, slug: str, host: str = "") -> None:
        super().__init__(message, hint)
        self.code = code
        self.slug = slug
        self.host = host


class Elsewhere(FromGateway):
    """Another host of the cluster has the project unlocked: `host`, which clients reach at `address` (NAME:PORT)."""

    slug = "elsewhere"

    def __init__(self, message: str, hint: str, code: int, host: str, address: str) -> None:
        super().__init__(message, hint, code, self.slug, host)
        self.address = address
