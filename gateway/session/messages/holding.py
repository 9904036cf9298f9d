"""What is said of holders: who joins and leaves a session that is live, and what the session says to them."""

from __future__ import annotations

from gateway.base.records import Fd
from gateway.session.messages.base import Message, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.names import Named, Principal, ProjectName, SessionId


class Join(Request):
    """Hold `project`, which is unlocked, as long as this connection and all `lifelines` last: the secret was proven.

    The answer is `Joined`, then `Said` whenever there is something to say, and `Exited` with the exit status of the
    channel. `role` is the caller's by the slot that was opened, `connection` SSH_CONNECTION; `via` the session of the
    caller's that keeps the hold, "" for a channel.
    """

    project: ProjectName
    role: str
    connection: str
    via: str
    lifelines: tuple[Fd, ...]


class Hold(Request):
    """The holder on the caller's own connection holds `project` as well: the secret was proven."""

    project: ProjectName


class Keep(Request):
    """Keep `link`, a connection that another session has answered with `Joined` for `project`, for as long as our
    channel lasts.
    """

    project: Named
    link: Fd


class Leave(Request):
    """On a connection that was answered with `Joined`: the holder leaves, for this reason (as in `Close`)."""

    reason: str


class Expel(Request):
    """`member` does not hold the session's project any more, nor run anything in it, for this reason (a slug of
    gateway.audit.reasons): the owner says so, or `member`.
    """

    member: Principal
    reason: str


class Joined(Message):
    """The caller holds the project in this session."""

    session: SessionId


class Said(Message):
    """What a session says to a holder: an event as a JSON object, and its words for a person."""

    event: str
    words: str


class Used(Message):
    """Something happened that keeps the holder from being idle."""
