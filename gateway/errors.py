"""Everything that can go wrong in a way that a person can act on, and the exit code that says so.

Codes follow sysexits(3) where they fit. The table in docs/protocol.md is made from the classes below and a test
keeps the two equal. Only a `main` turns an error into words and an exit.
"""

from __future__ import annotations


class EncError(Exception):
    """One line for a person (`str`), an optional hint, a stable name for programs (`slug`), and an exit code."""

    code = 70
    slug = "internal"

    def __init__(self, message: str, hint: str | None = "") -> None:
        super().__init__(message)
        self.hint = hint or ""

    def line(self) -> str:
        return f"{self}; {self.hint}" if self.hint else str(self)


class Usage(EncError):
    """The words of the command do not fit its grammar, or a name is not a valid name."""

    code = 64
    slug = "usage"


class DamagedVault(EncError):
    """A vault exists but cannot be trusted as it stands; it was left untouched."""

    code = 65
    slug = "damaged-vault"


class NoSuchProject(EncError):
    """The caller has no project of that name (whether somebody else has one is not said)."""

    code = 66
    slug = "no-such-project"


class NoSuchKey(EncError):
    """No line of authorized_keys, or nothing handed in, has that key."""

    code = 66
    slug = "no-such-key"


class NotUnlocked(EncError):
    """The command needs an unlocked project and there is none."""

    code = 69
    slug = "not-unlocked"


class Internal(EncError):
    """A fault of the gateway itself; the audit log has the event."""


class CannotCreate(EncError):
    """The project exists already, or could not be created; nothing was left behind."""

    code = 73
    slug = "cannot-create"


class Busy(EncError):
    """Held by another session, or not possible just now."""

    code = 75
    slug = "busy"


class Misconfigured(EncError):
    """The gateway's host or configuration is not in order; a sysadmin has to act."""

    code = 75
    slug = "misconfigured"


class Paused(EncError):
    """The sysadmin lets nothing new begin for now; what is live goes on."""

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


class NotYours(EncError):
    """The caller is authenticated but may not do this."""

    code = 77
    slug = "denied"


class Stopped(EncError):
    """The program took longer, or printed more, than it was allowed to, and was ended. The code is timeout(1)'s."""

    code = 124
    slug = "stopped"


class Interrupted(EncError):
    """Ctrl-C, or the end of the terminal (129) or of the gateway (143), came before the command was done."""

    code = 130
    slug = "interrupted"


class NotAllowedHere(EncError):
    """A known command, but not in this place."""

    code = 126
    slug = "not-allowed-here"


class UnknownCommand(EncError):
    """No such command, or a line that the grammar refuses."""

    code = 127
    slug = "unknown-command"


def place(fault: BaseException) -> dict[str, str]:
    """What the audit may know of an unforeseen exception: its type, and where in our code it came from."""
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
    return {"fault": type(fault).__name__, "where": where}
