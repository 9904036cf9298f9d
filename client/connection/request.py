"""One request to the gateway, and its answer: a gateway command with --json, and the JSON object that it prints."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from client.connection import ssh, ssh_errors
from client.errors import FromGateway, Unreachable
from client.state import store as stores
from client.state.config import Profile
from client.state.store import Store
from client.system import children


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


def send_directly(
    profile: Profile, *words: str, secret: bytes | None = None, extra: dict[str, str] | None = None
) -> dict[str, Any]:
    """The same over a new connection, with `extra` ssh options. ssh may ask at the terminal, so there is no timeout."""
    argv = [*ssh.direct(profile, extra), "-T", "--", profile.host, *ssh.command_line([*words, "--json"])]
    return _answer(argv, secret, None, profile.host)


def _answer(argv: list[str], secret: bytes | None, seconds: float | None, host: str) -> dict[str, Any]:
    line = b"" if secret is None else secret + b"\n"
    try:
        done = children.run(argv, input=line, capture_output=True, timeout=seconds)
    except FileNotFoundError as error:
        raise ssh_errors.not_installed() from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{host} does not answer", "the connection may be broken") from error
    messages = done.stderr.decode(errors="replace")
    if done.returncode == ssh.FAILED:
        raise ssh_errors.explain(messages, host)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        message = ssh_errors.last_line(messages) or "the gateway gave no answer"
        raise FromGateway(message, "", done.returncode or 70, "unknown")
    if done.returncode:
        raise refused(answer, done.returncode)
    return answer


def refused(answer: dict[str, Any], status: int) -> FromGateway:
    """The error in the gateway's answer. `status` is used when the answer has no exit code that means failure."""
    message, hint = str(answer.get("message", "the gateway refused")), str(answer.get("hint", ""))
    code = answer.get("exit")
    failure = code if type(code) is int and 0 < code < 256 else status
    return FromGateway(message, hint, failure, str(answer.get("error", "refused")))
