"""What a front (rshell) and a warden say to each other over a session's unix socket.

SOCK_SEQPACKET: one message is one packet is one JSON object with a `kind`. Descriptors ride along (SCM_RIGHTS): in the
JSON, a field that is one has its index among the packet's. A front sends one request and reads replies until `Done`,
`Failed` or `Exited`; closing the socket withdraws it. docs/protocol.md has the table. A message of another shape, or
with other descriptors than it names, is refused as a whole.
"""

from __future__ import annotations

from gateway import errors
from gateway.base import codec, json
from gateway.base.records import Fd
from gateway.session.messages.base import Message as Message
from gateway.session.messages.base import Request as Request
from gateway.session.messages.holding import Expel as Expel
from gateway.session.messages.holding import Hold as Hold
from gateway.session.messages.holding import Join as Join
from gateway.session.messages.holding import Joined as Joined
from gateway.session.messages.holding import Keep as Keep
from gateway.session.messages.holding import Leave as Leave
from gateway.session.messages.holding import Said as Said
from gateway.session.messages.holding import Used as Used
from gateway.session.messages.programs import Attach as Attach
from gateway.session.messages.programs import Cgroup as Cgroup
from gateway.session.messages.programs import Confined as Confined
from gateway.session.messages.programs import Enter as Enter
from gateway.session.messages.programs import Execute as Execute
from gateway.session.messages.programs import HostKey as HostKey
from gateway.session.messages.programs import NewTerminal as NewTerminal
from gateway.session.messages.programs import Stdio as Stdio
from gateway.session.registry import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.base.codec import Word
    from gateway.identity.names import Named, ProjectName, SlotName


class Unlock(Request):
    """Make a view of `project`, which the caller calls `called`. `secret` is the pipe with what opens `slot`, which is
    of the kind `slot_kind` and has this id: it is no other of that name. `attempt` is the lock of the attempt
    (gateway.limits.backoff), and `place` the lock that counts the view (gateway.limits.concurrency).
    """

    project: ProjectName
    called: Named
    slot: SlotName
    slot_kind: Word
    slot_id: Word
    secret: Fd
    attempt: Fd
    place: Fd


class Lock(Request):
    """End the caller's hold of `project`, and its view unless somebody else holds it: then the answer is `Stays`."""

    project: ProjectName


class LockForAll(Request):
    """End the view, whoever holds it. The owner can."""

    project: ProjectName


class Close(Request):
    """End what the caller holds of the session, and the session if nobody is left; `reason` is a slug of
    gateway.audit.reasons that is marked `in_close`. A caller without a key, the sysadmin, ends it for all.
    """

    reason: str

    needs_key = False


class CloseForAll(Request):
    """End the session, whoever holds it; `reason` is as in `Close`. The owner can."""

    reason: str


class Touch(Request):
    """The user is at work, on `project` ("": at the session's prompt): nothing but activity."""

    project: str = ""


class Limit(Request):
    """From now on lock `project` after `seconds` without use."""

    project: ProjectName
    seconds: int


class Ask(Request):
    """Tell the state of the session, which is no activity."""

    needs_key = False


class Done(Message):
    """The request is carried out."""


class Terminal(Message):
    """The program has started on a terminal, whose other end is `controller`."""

    controller: Fd


class State(Message):
    """The session as `status` shows it: a JSON object."""

    report: str


class Failed(Message):
    """The request was not carried out; what to tell the caller."""

    slug: str
    message: str
    hint: str


class Stays(Message):
    """The caller's hold has ended, and the view or session stays for others: a JSON array of those."""

    others: str


class Exited(Message):
    """The attached program, or the hold, ended, with an exit status as a shell reports it."""

    status: int


_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        *(
            Unlock,
            Lock,
            LockForAll,
            Close,
            CloseForAll,
            Join,
            Hold,
            Keep,
            Leave,
            Expel,
            Touch,
            Limit,
            Ask,
            Attach,
            Execute,
            Enter,
        ),
        *(Done, Terminal, State, Failed, Stays, Joined, Said, Used, HostKey, Exited),
    )
}


def words() -> codec.Words:
    """What the words of messages' annotations mean."""
    from gateway.sandbox.limits import Limits  # only a warden reads them: 0.3 ms of a front's start

    return {**NAMES, "Limits": Limits, "Stdio": Stdio, "NewTerminal": NewTerminal, "Cgroup": Cgroup}


class Malformed(ValueError):
    """A packet that is no message."""


def encode(message: Message) -> tuple[bytes, list[Fd]]:
    """The packet, and the descriptors that go with it."""
    fds: list[Fd] = []

    def give(fd: Fd) -> int:
        fds.append(fd)
        return len(fds) - 1

    return json.dumps({"kind": type(message).__name__, **codec.fields(message, give)}).encode(), fds


def decode(packet: bytes, fds: Sequence[int] = ()) -> Message:
    """The message in `packet`, with which `fds` came. Raises Malformed, also when it does not name each of them once;
    they are the caller's then.
    """
    left = dict(enumerate(fds))

    def take(index: object) -> Fd:
        if type(index) is not int or index not in left:
            raise TypeError("a descriptor")
        return Fd(left.pop(index))

    try:
        values = json.loads(packet)
        kind = _KINDS[values.pop("kind")]
        message = codec.Decoder(words() if issubclass(kind, Request) else NAMES, take).record(kind, values)
        if left:
            raise ValueError("more descriptors than the message names")
    except (ValueError, KeyError, TypeError, AttributeError, errors.Usage, RecursionError) as error:
        raise Malformed("not a message of this protocol") from error
    return message


def failed(error: errors.EncError) -> Failed:
    return Failed(slug=error.slug, message=str(error), hint=error.hint)


def error_of(reply: Failed) -> errors.EncError:
    """The error that the other side meant, of the same class."""
    for kind in errors.EncError.__subclasses__():
        if kind.slug == reply.slug:
            return kind(reply.message, reply.hint)
    return errors.Internal(reply.message, reply.hint)
