"""One request to the gateway, and its answer: a gateway command with --json, and the JSON object that it prints."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
from collections.abc import Callable
from typing import IO, Any

from client.connection import ssh, ssh_errors
from client.errors import Elsewhere, FromGateway, Unreachable
from client.state import hosts
from client.state import store as stores
from client.state.config import Profile
from client.state.store import Store
from client.system import children

_QUESTION_BYTES = 4096
_QUESTION = re.compile(rb"The passphrase needs|reading (?:a challenge|a secret|the code)")
"""How the gateway's question begins (rshell/session/new_secrets.py, rshell/terminal/questions.py). Before it, ssh or a
jump host may say something of its own.
"""
_QUESTION_SECONDS = 5.0
"""After other words, how long to wait for the question."""
_END_SECONDS = 0.1


class Answer(dict[str, Any]):
    """What the gateway said. A field that it lacks is the gateway's error."""

    def __missing__(self, key: str) -> Any:
        raise FromGateway(f"the gateway's answer has no {key}", "is it an ENC gateway, of this version?", 70, "unknown")


def send(store: Store, *words: str, secret: bytes | None = None, seconds: float = 60.0) -> dict[str, Any]:
    """The answer to the command `words` over the existing connection, with `secret` as a line on its standard input.

    Raises FromGateway when the gateway refuses, Unreachable when it does not answer within `seconds`.
    """
    argv = [*ssh.shared(store), "-T", "--", "enc", *ssh.command_line([*words, "--json"])]
    return _answer(argv, secret, seconds, ssh_errors.GATEWAY)


def ask(profile: Profile, *words: str) -> dict[str, Any]:
    """The answer to `words`, over the existing connection if there is one, else over a new one."""
    store = stores.connected(profile)
    return send(store, *words) if store else send_directly(profile, *words)


def send_when_asked(store: Store, *words: str, ask: Callable[[str], bytes]) -> dict[str, Any]:
    """As `send`, for a command that checks everything else before it reads its secret.

    `ask` gets what the gateway says when it wants the secret, and returns that. It is not called when the gateway
    refuses before.
    """
    argv = [*ssh.shared(store), "-T", "--", "enc", *ssh.command_line([*words, "--json"])]
    return _dialogue(argv, ask, ssh_errors.GATEWAY)


def send_directly_when_asked(profile: Profile, *words: str, ask: Callable[[str], bytes]) -> dict[str, Any]:
    """The same over a new connection."""
    argv = [*ssh.direct(profile), "-T", "--", profile.host, *ssh.command_line([*words, "--json"])]
    return _dialogue(argv, ask, profile.called)


def send_directly(
    profile: Profile, *words: str, secret: bytes | None = None, extra: dict[str, str] | None = None
) -> dict[str, Any]:
    """The same over a new connection, with `extra` ssh options. ssh may ask at the terminal, so there is no timeout."""
    argv = [*ssh.direct(profile, extra), "-T", "--", profile.host, *ssh.command_line([*words, "--json"])]
    return _answer(argv, secret, None, profile.called)


def follow(profile: Profile, *words: str, secret: bytes, told: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """As `send` or `send_directly`, for a command that takes long: `told` gets each event that the gateway prints
    before its answer, as it comes. There is no timeout. Raises FromGateway, Unreachable.
    """
    line = ssh.command_line([*words, "--json"])
    if store := stores.connected(profile):
        argv, host = [*ssh.shared(store), "-T", "--", "enc", *line], ssh_errors.GATEWAY
    else:
        argv, host = [*ssh.direct(profile), "-T", "--", profile.host, *line], profile.called
    pipe = subprocess.PIPE
    try:
        child = children.start(argv, stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    assert child.stdin and child.stdout and child.stderr  # noqa: S101
    said: dict[int, bytes] = {child.stdout.fileno(): b"", child.stderr.fileno(): b""}
    try:
        with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
            child.stdin.write(secret + b"\n")
            child.stdin.close()
        left, rest = set(said), dict(said)
        while left:
            for fd in select.select(left, [], [])[0]:
                chunk = os.read(fd, _QUESTION_BYTES)
                if not chunk:
                    left.discard(fd)
                *lines, rest[fd] = (rest[fd] + chunk).split(b"\n")
                for one in lines:
                    if event := _event(one):
                        told(event)
                    else:
                        said[fd] += one + b"\n"
        status = child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise
    out, err = (said[fd] + rest[fd] for fd in said)
    return _result(out, err.decode(errors="replace"), status, host)


def _event(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None for an answer, an error, or words."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "event" in found else None


def _dialogue(argv: list[str], ask: Callable[[str], bytes], host: str) -> dict[str, Any]:
    """Run ssh. The gateway's question comes on standard error, while nothing is on standard output."""
    pipe = subprocess.PIPE
    try:
        child = children.start(argv, stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    try:
        assert child.stdin and child.stdout and child.stderr  # noqa: S101
        said, asks = _until_question(child.stdout, child.stderr)
        found = _QUESTION.search(said)
        question = said[found.start() if found else 0 :].decode(errors="replace").strip()
        line = ask(question) + b"\n" if asks and not _has_ended(child) else b""
        out, err = child.communicate(line)
    except BaseException:
        child.kill()
        child.communicate()
        raise
    return _result(out, (said + err).decode(errors="replace"), child.returncode, host)


def _until_question(out: IO[bytes], err: IO[bytes]) -> tuple[bytes, bool]:
    """What came on `err`, and whether it is a question: not when there is an answer on `out`, or an error."""
    said, seconds = b"", None
    while True:
        ready, _, _ = select.select([out, err], [], [], seconds)
        chunk = os.read(err.fileno(), _QUESTION_BYTES) if err in ready else b""
        said = (said + chunk)[-_QUESTION_BYTES:]
        found = _QUESTION.search(said)
        if found or not chunk:
            return said, bool(found) or not (ready or said.startswith(ssh_errors.GATEWAYS_ERROR.encode()))
        seconds = _QUESTION_SECONDS


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether ssh ends, having said why: it needs a moment for that."""
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _answer(argv: list[str], secret: bytes | None, seconds: float | None, host: str) -> dict[str, Any]:
    line = b"" if secret is None else secret + b"\n"
    try:
        done = children.run(argv, input=line, capture_output=True, timeout=seconds)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{host} does not answer", "the connection may be broken") from error
    return _result(done.stdout, done.stderr.decode(errors="replace"), done.returncode, host)


def _result(out: bytes, messages: str, status: int, host: str) -> dict[str, Any]:
    """The gateway's answer, of an ssh that has ended. Raises the error in it, or ssh's own."""
    if status == ssh.FAILED:
        raise ssh_errors.explain(messages, host)
    try:
        answer = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        message = ssh_errors.last_line(messages) or "the gateway gave no answer"
        raise FromGateway(message, "", status or 70, "unknown")
    if status:
        raise refused(answer, status)
    return Answer(answer)


def refused(answer: dict[str, Any], status: int) -> FromGateway:
    """The error in the gateway's answer. `status` is used when the answer has no exit code that means failure."""
    message, hint = str(answer.get("message", "the gateway refused")), str(answer.get("hint", ""))
    code = answer.get("exit")
    failure = code if type(code) is int and 0 < code < 256 else status
    slug, of, address = str(answer.get("error", "refused")), answer.get("host"), answer.get("address")
    if slug == Elsewhere.slug and hosts.is_one(of, address):
        return Elsewhere(message, hint, failure, str(of), str(address))
    return FromGateway(message, hint, failure, slug, str(of or ""))
