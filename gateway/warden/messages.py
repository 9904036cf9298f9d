"""What a session says to the one who holds it: a line for a person, or one JSON object an event."""

from __future__ import annotations

import os

from gateway.audit.reasons import REASONS
from gateway.base import json
from gateway.base.clock import utc_now
from gateway.errors import EncError


class Messages:
    """Results to standard output, errors to standard error. A reader that is gone or slow never holds us up."""

    def __init__(self, session: str, as_json: bool) -> None:
        self._session = session
        self._json = as_json
        self._out, self._err = _own(1), _own(2)
        self.idle_for: dict[str, int] = {}
        """By project ("": the session), the limit in seconds for which it was idle. Who locks it for that sets it."""

    def opened(self) -> None:
        self._say("session", {}, f"session {self._session}: open until you close it (Ctrl-C, or `logout`)")

    def closed(self, reason: str) -> None:
        words = f"session {self._session} is closed: {self._why('', reason)}"
        self._say("closed", {"reason": reason, **self._idle("", reason)}, words)

    def unlocked(self, project: str) -> None:
        self._say("unlocked", {"project": project}, f"unlocked {project} in session {self._session}")

    def locked(self, project: str, reason: str) -> None:
        fields = {"project": project, "reason": reason, **self._idle(project, reason)}
        self._say("locked", fields, f"locked {project}: {self._why(project, reason)}")

    def _idle(self, project: str, reason: str) -> dict[str, int]:
        """For how many seconds the project or the session was idle, if that is the reason."""
        name = {"idle-view": project, "idle-session": ""}.get(reason)
        return {"seconds": self.idle_for[name]} if name in self.idle_for else {}

    def _why(self, project: str, reason: str) -> str:
        idle = self._idle(project, reason)
        return f"idle for {idle['seconds']} s" if idle else REASONS[reason].user

    def warning(self, project: str, seconds: int) -> None:
        what = f"{project} will be locked" if project else "the session will be closed"
        stay = "read or write a file in it" if project else "run a command"
        words = f"in {seconds} s {what} because it is idle; {stay} to prevent that"
        self._say("warning", {"project": project, "seconds": seconds}, words)

    def relieved(self, project: str) -> None:
        self._say("relieved", {"project": project}, f"{project or 'the session'} is in use again")

    def failed(self, error: EncError) -> None:
        if self._json:
            fields = {"error": error.slug, "message": str(error), "hint": error.hint, "exit": error.code}
            self._say("failed", fields, "")
        _write(self._err, f"enc: {error.line()}\n")

    def _say(self, event: str, fields: dict[str, object], words: str) -> None:
        about = {"event": event, "session": self._session, "time": utc_now(), **fields}
        _write(self._out, (json.dumps(about) if self._json else words) + "\n")


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
