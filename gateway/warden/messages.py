"""What a session says to those who hold it: a line for a person, or one JSON object an event."""

from __future__ import annotations

import os

from gateway.audit.reasons import REASONS
from gateway.base import json
from gateway.base.clock import utc_now
from gateway.errors import EncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FAILED = "failed"
"""The event of an error, which is told on standard error as well."""


class Printed:
    """A channel whose descriptors we have. A reader that is gone or slow never holds us up."""

    def __init__(self, out: int, err: int, as_json: bool) -> None:
        self._json = as_json
        self._given = {out, err}
        self._out, self._err = _own(out), _own(err)

    def say(self, event: str, words: str) -> None:
        """`event` is a JSON object, `words` are for a person."""
        is_error = _is_failure(event)
        if self._json or not is_error:
            _write(self._out, (event if self._json else words) + "\n")
        if is_error:
            _write(self._err, words + "\n")

    def close(self) -> None:
        """Keep nothing of it but what was given."""
        for fd in {self._out, self._err} - self._given:
            os.close(fd)
        self._out = self._err = -1


class Messages:
    """What one holder is told. Results go to standard output, errors to standard error. `called` says what the holder
    calls a project.
    """

    def __init__(self, session: str, say: Callable[[str, str], None], called: Callable[[str], str] = str) -> None:
        self._session = session
        self._called = called
        self._tell = say
        self.idle_for: dict[str, int] = {}
        """By project ("": the session), the limit in seconds for which it was idle. Who locks it for that sets it."""

    def opened(self) -> None:
        self._say("session", {}, f"session {self._session}: open until you close it (Ctrl-C, or `logout`)")

    def closed(self, reason: str) -> None:
        words = f"session {self._session} is closed: {self._why('', reason)}"
        self._say("closed", {"reason": reason, **self._idle("", reason)}, words)

    def unlocked(self, project: str) -> None:
        project = self._called(project)
        self._say("unlocked", {"project": project}, f"unlocked {project} in session {self._session}")

    def locked(self, project: str, reason: str) -> None:
        why, idle, project = self._why(project, reason), self._idle(project, reason), self._called(project)
        self._say("locked", {"project": project, "reason": reason, **idle}, f"locked {project}: {why}")

    def _idle(self, project: str, reason: str) -> dict[str, int]:
        """For how many seconds the project or the session was idle, if that is the reason."""
        name = {"idle-view": project, "idle-session": ""}.get(reason)
        return {"seconds": self.idle_for[name]} if name in self.idle_for else {}

    def _why(self, project: str, reason: str) -> str:
        idle = self._idle(project, reason)
        return f"idle for {idle['seconds']} s" if idle else REASONS[reason].user

    def left(self, project: str, reason: str, others: str) -> None:
        """The view goes on for `others`."""
        why, idle, project = self._why(project, reason), self._idle(project, reason), self._called(project)
        stays = f"; it stays unlocked for {others}" if others else ""
        self._say("left", {"project": project, "reason": reason, **idle}, f"left {project}: {why}{stays}")

    def warning(self, project: str, seconds: int) -> None:
        project = self._called(project)
        what = f"{project} will be locked" if project else "the session will be closed"
        stay = "read or write a file in it" if project else "run a command"
        words = f"in {seconds} s {what} because it is idle; {stay} to prevent that"
        self._say("warning", {"project": project, "seconds": seconds}, words)

    def relieved(self, project: str) -> None:
        project = self._called(project)
        self._say("relieved", {"project": project}, f"{project or 'the session'} is in use again")

    def failed(self, error: EncError) -> None:
        fields = {"error": error.slug, "message": str(error), "hint": error.hint, "exit": error.code}
        self._say(FAILED, fields, f"enc: {error.line()}")

    def _say(self, event: str, fields: dict[str, object], words: str) -> None:
        about = {"event": event, "session": self._session, "time": utc_now(), **fields}
        self._tell(json.dumps(about), words)


def _is_failure(event: str) -> bool:
    return _fields(event).get("event") == FAILED


def is_left_as_asked(event: str) -> bool:
    """Whether it is the answer to an `unmount`."""
    fields = _fields(event)
    return (fields.get("event"), fields.get("reason")) == ("left", "unmount")


def _fields(event: str) -> dict[str, object]:
    """An event of another session is read as from a stranger."""
    try:
        fields = json.loads(event)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _own(fd: int) -> int:
    """`fd` opened once more, non-blocking: the flag would be shared with a prompt that reads from the same terminal."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # a socket, which cannot be opened and is nobody's to read from
        os.set_blocking(fd, False)
        return fd


def _write(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode())
    except OSError:  # nobody reads any more, or not now: the session's fate does not hang on its words
        return
