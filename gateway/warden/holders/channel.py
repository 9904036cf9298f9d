"""The channel that the session began with: the first of its holders. The warden has its descriptors from the start."""

from __future__ import annotations

import contextlib
import os
import signal

from gateway.session import protocol
from gateway.session.spec import READY, STARTER, tells_of_hangup
from gateway.warden.holders.holder import Holder, Who, names_of
from gateway.warden.loop import HANGUP, READ, Loop
from gateway.warden.messages import Messages, Printed, is_left_as_asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.errors import EncError
    from gateway.session.spec import Spec
    from gateway.warden.records import Journal

_SIGNALS = ((signal.SIGINT, "logout"), (signal.SIGHUP, "hangup"))
"""A terminal's, which go to its foreground processes, and so to us."""


class OwnChannel(Holder):
    """`left(self, reason)` is called when sshd, the prompt that started us, or the channel is gone, or Ctrl-C says so.
    Of the channel that is: a terminal that hangs up, or an error on a pipe that we write to.
    """

    def __init__(self, loop: Loop, spec: Spec, journal: Journal) -> None:
        channel = spec.anchor.channel
        assert channel is not None  # noqa: S101 - a session is started with one
        self._loop = loop
        self._journal = journal
        self._channel = channel
        self._printed = Printed(channel.stdout, channel.stderr, spec.anchor.as_json)
        caller = spec.caller
        who = Who(
            principal=caller.principal,
            role=spec.home.role,
            fingerprint=caller.fingerprint,
            blob=caller.blob,
            origin=f"{caller.address}:{caller.port}",
            connection=caller.connection,
        )
        say = self._printed.say if spec.anchor.name != STARTER else _nothing
        super().__init__("@0", who, spec.anchor.name, Messages(spec.id, say, names_of(who.principal, spec.home.owner)))
        self.is_at_prompt = spec.anchor.name == "prompt"
        self._watched = [fd for fd in (spec.monitor, spec.anchor.hangup) if fd is not None]
        self._monitor, self._prompt = spec.monitor, spec.anchor.hangup
        self._ready = spec.anchor.ready
        self._has_ended = False

    def pass_on(self, event: str, words: str) -> None:
        """Say what another session says. Of what was asked at our prompt, the answer says it."""
        if not (self.is_at_prompt and is_left_as_asked(event)):
            self._printed.say(event, words)

    def opened(self) -> None:
        """Who waits for it to open is told."""
        self._tell(READY)

    def never_opened(self, error: EncError) -> None:
        if self._ready is None:
            self.say.failed(error)
        else:
            self._tell(protocol.encode(protocol.failed(error))[0])

    def _tell(self, word: bytes) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            with contextlib.suppress(OSError):  # it is gone, which its hang-up tells
                os.write(ready, word)
            os.close(ready)

    def watch(self, left: Callable[[Holder, str], None]) -> None:
        for number, reason in _SIGNALS:
            self._loop.on_signal(number, lambda reason=reason: left(self, reason))  # type: ignore[misc]

        def ends(fd: int, events: int) -> None:
            def gone(_: int) -> None:
                self._loop.unwatch(fd)  # it stays as it is, and the end takes its time
                left(self, "hangup")

            self._loop.watch(fd, events, gone)

        if self._monitor is not None:
            ends(self._monitor, READ)
        if self._prompt is not None:
            ends(self._prompt, HANGUP)
            return
        channel = self._channel
        if channel.leave is not None:  # what sshd waits for is gone
            self._watched.append(channel.leave)
            ends(channel.leave, HANGUP)
        for fd in (channel.stdin, channel.stdout, channel.stderr):
            if tells_of_hangup(fd, fd != channel.stdin):
                self._watched.append(fd)
                ends(fd, HANGUP)

    def end(self, status: int, keep: bool = False) -> None:
        """Tell the exit status, and let go of all that is the channel's: sshd closes it when nobody has it any more.
        With `keep`, the last is left to our own end: then the channel ends when nothing of the session is left.
        """
        if self._has_ended:
            return
        self._has_ended = True
        self._journal.result(status)
        channel = self._channel
        if channel.leave is not None:
            with contextlib.suppress(OSError):
                os.write(channel.leave, b"%d\n" % status)
        if keep:
            return
        for fd in self._watched:
            self._loop.unwatch(fd)
        self._printed.close()
        fds = {channel.stdin, channel.stdout, channel.stderr, channel.leave, self._monitor, self._prompt}
        for given in fds - {None}:
            os.close(given)  # type: ignore[arg-type]


def _nothing(_event: str, _words: str) -> None:
    return
