"""What all commands share on their command line: which gateway, and whether to answer in JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from client.state import config
from client.state.config import Choice, Profile

F = TypeVar("F", bound=Callable[..., Any])

HOST = click.option(
    "--host", help="The gateway: a profile of the config, a host, or an alias of ssh_config(5). Also ENC_HOST."
)
SSH_CONFIG = click.option("-F", "ssh_config", help="As of ssh(1). Also ENC_SSH_CONFIG.")
IDENTITY = click.option("-i", "identity", help="As of ssh(1). Also ENC_IDENTITY.")
JSON = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


def choice(host: str | None, ssh_config: str | None, identity: str | None) -> Choice:
    """What was said before the command (ctx.obj), overridden by what is said after it."""
    context = click.get_current_context()
    before: Choice = context.obj or Choice()
    return Choice(
        host=host or before.host or os.environ.get("ENC_HOST", ""),
        ssh_config=ssh_config or before.ssh_config or os.environ.get("ENC_SSH_CONFIG", ""),
        identity=identity or before.identity or os.environ.get("ENC_IDENTITY", ""),
    )


def gateway(function: F) -> F:
    """Adds --host, -F, -i and --json, and passes `profile` and `as_json`."""

    def called(host: str | None, ssh_config: str | None, identity: str | None, **rest: Any) -> Any:
        profile: Profile = config.choose(choice(host, ssh_config, identity))
        return function(profile=profile, **rest)

    called.__name__, called.__doc__ = function.__name__, function.__doc__
    called.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    return HOST(SSH_CONFIG(IDENTITY(JSON(called))))  # type: ignore[return-value]


def say(fields: dict[str, Any], words: str, as_json: bool) -> None:
    """The result: an object for programs, or words for people."""
    click.echo(json.dumps(fields) if as_json else visible(words))


def note(words: str) -> None:
    """Something for a person that is not the result."""
    click.echo(visible(words), err=True)


def is_asking() -> bool:
    """Whether somebody is there to answer questions."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def bold(text: str) -> str:
    """Emphasized on a terminal, plain elsewhere."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else click.style(text, bold=True)


def visible(words: str) -> str:
    """`words` with nothing in them that a terminal acts on, but line breaks: some of them are the gateway's, and which
    gateway that is, only its host key says.
    """
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in words)
