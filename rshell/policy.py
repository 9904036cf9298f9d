"""What is allowed: one decision, as a value, for the front that enforces it and for whoever explains it."""

from __future__ import annotations

from gateway.errors import EncError, NotAllowedHere
from gateway.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rshell.command import Command
    from rshell.context import Context


class Allow(Record):
    """Go on."""


class Deny(Record):
    """`because` is what the caller is told; its slug is the reason in the audit."""

    because: EncError


def decide(asked: Command, at_prompt: bool) -> Allow | Deny:
    """Whether `asked` may be carried out where it was asked."""
    if asked.verb.transfers and at_prompt:
        return Deny(
            because=NotAllowedHere(f"{asked.verb.name} is not for the prompt", "run it on your own machine instead")
        )
    return Allow()


def enforce(asked: Command, context: Context) -> None:
    """Raise what `decide` says against it."""
    decision = decide(asked, context.at_prompt)
    if isinstance(decision, Deny):
        raise decision.because
