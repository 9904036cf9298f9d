"""Run a program to its end, hold a running one, or run one in a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from dataclasses import dataclass

from gateway.base.process import wait_readable
from tests.conditions import PATIENCE


@dataclass(frozen=True)
class Result:
    """Exit status and output of a program that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def run(argv: list[str], stdin: str | bytes = b"", timeout: float = PATIENCE) -> Result:
    """Run to the end, without a terminal. Fails if the output has a traceback."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout, check=False)
    result = Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert "Traceback" not in result.out + result.err, result
    return result


class Held:
    """A running program with its output: read from it, kill it, wait for its end. `end` has to be called."""

    def __init__(self, argv: list[str], stdin: str) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(stdin.encode())
        self.process.stdin.close()
        self.said = ""
        self._complained = ""

    def read_until(self, text: str, seconds: float = PATIENCE) -> str:
        """Everything on standard output so far, once `text` is in it."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            more = self.read_more(max(0, deadline - time.monotonic()))
            assert more, f"no {text!r} but {self.said!r}, {self._errors()!r}"
        return self.said

    def read_more(self, seconds: float) -> str:
        """What comes next on standard output, which is added to `said`; "" at its end, or after `seconds`."""
        assert self.process.stdout is not None
        ready = wait_readable(self.process.stdout.fileno(), seconds)
        chunk = os.read(self.process.stdout.fileno(), 4096).decode() if ready else ""
        self.said += chunk
        return chunk

    def _errors(self) -> str:
        if self.process.poll() is None:
            return "(still running)"
        assert self.process.stderr is not None
        self._complained += self.process.stderr.read().decode()
        return self._complained

    def wait(self, seconds: float = PATIENCE) -> Result:
        """Wait until it ends by itself."""
        assert self.process.stdout and self.process.stderr
        status = self.process.wait(seconds)
        self.said += self.process.stdout.read().decode()
        return Result(status, self.said, self._errors())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it and close its pipes."""
        self.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream and not stream.closed:
                stream.close()


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, argv: list[str]) -> None:
        # a Ctrl-C that comes before the exec ends the child without a word: Python's answer would be pytest's
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.execvp(argv[0], argv)  # noqa: S606
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.seen = ""
        self._mark = 0
        self._status: int | None = None

    def expect(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait for `text` after what was expected before; return everything up to its end."""
        deadline = time.monotonic() + seconds
        while (at := self.seen.find(text, self._mark)) < 0:
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            chunk = self._read() if ready else b""
            assert chunk, f"no {text!r} after {self.seen[self._mark :]!r}"
            self.seen += chunk.decode(errors="replace")
        before, self._mark = self.seen[self._mark : at + len(text)], at + len(text)
        return before

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError:  # EIO: the other side is closed
            return b""

    def send(self, text: str) -> None:
        self.send_bytes(text.encode())

    def send_bytes(self, data: bytes) -> None:
        os.write(self._fd, data)

    def resize(self, rows: int, columns: int) -> None:
        """Resize the window: the foreground process group gets SIGWINCH."""
        termios.tcsetwinsize(self._fd, (rows, columns))

    def wait(self, seconds: float = PATIENCE) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"it did not end: {self.seen!r}"
            chunk = self._read()
            if not chunk:
                break
            self.seen += chunk.decode(errors="replace")
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def close(self) -> None:
        """Close the window: the terminal hangs up (SIGHUP)."""
        os.close(self._fd)
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGHUP)
            os.waitpid(self.pid, 0)
