"""What a front (rshell) and a warden say to each other over a session's unix socket.

SOCK_SEQPACKET: one message is one packet is one JSON object with a `kind`; descriptors ride along (SCM_RIGHTS). A
front sends one request and reads replies until `Done`, `Failed` or `Exited`; closing the socket withdraws it.
docs/protocol.md has the table. A message of another shape is refused as a whole.
"""

from __future__ import annotations

from gateway import errors
from gateway.base import json
from gateway.base.records import Record
from gateway.identity.names import Name, Principal, ProjectName, SlotName


class Message(Record):
    """Base of all messages; the class's name is its `kind`."""


class Request(Message):
    """What a front asks; `origin` is the caller's address and port, for `status` and the log."""

    principal: Principal
    origin: str


class Unlock(Request):
    """Make a view of `project`. Descriptors: the passphrase's pipe, the attempt's turn (gateway.limits.backoff), the
    view's place (gateway.limits.concurrency).
    """

    project: ProjectName
    slot: SlotName


class Lock(Request):
    """End the view of `project`."""

    project: ProjectName


class Close(Request):
    """End the session; `reason` is a slug of gateway.audit.reasons that is marked `in_close`."""

    reason: str


class Touch(Request):
    """A line was typed at the session's prompt: nothing but activity."""


class Ask(Request):
    """Tell the state of the session, which is no activity."""


class Attach(Request):
    """Run `program` (one of gateway.sandbox.transfer) with `arguments` among the views. Descriptors: 0, 1, 2."""

    program: str
    arguments: tuple[str, ...]


class Execute(Request):
    """Run `arguments`, which the user chose, in `directory` among the views; `label` is what `status` calls it.

    It may read `paths` beside /usr, and is stopped after `seconds`; the numbers below that are those of
    gateway.sandbox.execution.Limits, 0 for none. `terminal` is the TERM of a terminal to be made, with `rows` and
    `columns`, "" for none. Descriptors: the system call filter, the network namespace if `network` is 1, two to enter
    the program's cgroup and to leave it again if `cgroup` is 1 (gateway.sandbox.cgroups), and without a terminal
    0, 1, 2. The answers are `Terminal`, if there is one, and `Exited`.
    """

    project: ProjectName
    label: str
    arguments: tuple[str, ...]
    directory: str
    paths: tuple[str, ...]
    terminal: str
    rows: int
    columns: int
    network: int
    cgroup: int
    seconds: int
    processes: int
    memory: int
    cpu: int
    file_size: int
    tmpfs: int


class Done(Message):
    """The request is carried out."""


class Terminal(Message):
    """The program has started on a terminal. Descriptor: the terminal's other end."""


class State(Message):
    """The session as `status` shows it: a JSON object."""

    report: str


class Failed(Message):
    """The request was not carried out; what to tell the caller."""

    slug: str
    message: str
    hint: str


class Exited(Message):
    """The attached program ended, with an exit status as a shell reports it."""

    status: int


_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (Unlock, Lock, Close, Touch, Ask, Attach, Execute, Done, Terminal, State, Failed, Exited)
}


_NUMBERS = frozenset(
    ("status", "rows", "columns", "network", "cgroup", "seconds", "processes", "memory", "cpu", "file_size", "tmpfs")
)


_LISTS = frozenset(("arguments", "paths"))


_NAMES: dict[str, type[Name]] = {"principal": Principal, "project": ProjectName, "slot": SlotName}


class Malformed(ValueError):
    """A packet that is no message."""


def encode(message: Message) -> bytes:
    return json.dumps({"kind": type(message).__name__, **message.as_dict()}).encode()


def decode(packet: bytes) -> Message:
    """The message in `packet`; raises Malformed."""
    try:
        values = json.loads(packet)
        kind = _KINDS[values.pop("kind")]
        for name, value in values.items():
            values[name] = _field(name, value)
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError, errors.Usage, RecursionError) as error:
        raise Malformed("not a message of this protocol") from error


def _field(name: str, value: object) -> object:
    if name in _NUMBERS:
        if type(value) is not int:
            raise TypeError(name)
        return value
    if name in _LISTS:
        if not isinstance(value, list):
            raise TypeError(name)
        return tuple(_word(word) for word in value)
    if not isinstance(value, str):
        raise TypeError(name)
    if name == "principal" and value.startswith("SHA256:"):
        return Principal.of_fingerprint(value)
    return _NAMES[name].of(value) if name in _NAMES else value


def _word(value: object) -> str:
    """A word of an argv: execve(2) takes no NUL, and a lone surrogate is no character."""
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("a word")
    value.encode()
    return value


def failed(error: errors.EncError) -> Failed:
    return Failed(slug=error.slug, message=str(error), hint=error.hint)


def error_of(reply: Failed) -> errors.EncError:
    """The error that the other side meant, of the same class."""
    for kind in errors.EncError.__subclasses__():
        if kind.slug == reply.slug:
            return kind(reply.message, reply.hint)
    return errors.Internal(reply.message, reply.hint)
