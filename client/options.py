"""The options that all commands have: which gateway, and whether to answer in JSON."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from client.errors import EncError, NotAccepted
from client.state import config
from client.state.config import GatewayOptions, Profile

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_PATIENCE = 60.0
"""Seconds. A gateway gives free what a lost host had after at most 45."""


def _gateways(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """For completion: the names in config.toml."""
    try:
        return [name for name in config.load().gateways if name.startswith(incomplete)]
    except EncError:
        return []


HOST = click.option(
    "--host",
    metavar="NAME",
    shell_complete=_gateways,
    help="The gateway: a name in config.toml, a host, or an alias in ssh_config(5). Or set ENC_HOST.",
)
SSH_CONFIG = click.option(
    "-F", "ssh_config", metavar="FILE", help="The ssh configuration file, as in ssh(1). Or set ENC_SSH_CONFIG."
)
IDENTITY = click.option("-i", "identity", metavar="FILE", help="The key file, as in ssh(1). Or set ENC_IDENTITY.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def given(host: str | None, ssh_config: str | None, identity: str | None) -> GatewayOptions:
    """The options after the command, else those before it (ctx.obj), else the environment."""
    context = click.get_current_context()
    before: GatewayOptions = context.obj or GatewayOptions()
    return GatewayOptions(
        host=host or before.host or os.environ.get("ENC_HOST", ""),
        ssh_config=ssh_config or before.ssh_config or os.environ.get("ENC_SSH_CONFIG", ""),
        identity=identity or before.identity or os.environ.get("ENC_IDENTITY", ""),
    )


@contextlib.contextmanager
def approval(profile: Profile) -> Iterator[None]:
    """Say why a key is not accepted, where we know: its file is not there, or it was handed in and waits. Once that is
    accepted, forget that it did.
    """
    try:
        yield
    except NotAccepted as error:
        file = profile.identity  # ssh itself goes on without a file, and takes the public one for a key of the agent
        if file and not (os.path.exists(file) or os.path.exists(f"{file}.pub")):
            raise NotAccepted(f"there is no key file {file}", "`ls ~/.ssh` lists yours; name one with -i") from error
        if not profile.waiting:
            raise
        message = f"your key {profile.waiting} waits for your sysadmin to approve it"
        raise NotAccepted(message, "read the fingerprint to them, and try again when they have approved it") from error
    saved = config.load().gateways.get(profile.name)
    if profile.waiting and saved and (saved.waiting, saved.identity) == (profile.waiting, profile.identity):
        config.save(saved._replace(waiting=""))


def reach(profile: Profile, function: Callable[[Profile], T], patience: float = 0.0) -> T:
    """As client.reaching.reach, and says why a key is not accepted."""
    from client import reaching  # `enc --help` needs none of it

    with approval(profile):
        return reaching.reach(profile, function, patience)


def gateway(function: F) -> F:
    """A decorator: adds --host, -F, -i and --json, and passes `profile` and `as_json`. The profile is that of the host
    that has the project which the command names, in its parameter `project`, `place` or `places`.
    """
    return _with_gateway(function, 0.0)


def patient_gateway(function: F) -> F:
    """The same for what waits when the host that has the project has died, until another one may have it."""
    return _with_gateway(function, _PATIENCE)


def _with_gateway(function: F, patience: float) -> F:
    def called(host: str | None, ssh_config: str | None, identity: str | None, **rest: Any) -> Any:
        profile: Profile = config.choose(given(host, ssh_config, identity))
        word = rest.get("project") or rest.get("place") or next(iter(rest.get("places", ())), "")
        if word:
            from client.operations import whereabouts  # as above
            from client.system import names

            profile = whereabouts.of_project(profile, names.before_path(word))
        return reach(profile, lambda where: function(profile=where, **rest), patience)

    called.__name__, called.__doc__ = function.__name__, function.__doc__
    called.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    return HOST(SSH_CONFIG(IDENTITY(JSON(called))))  # type: ignore[return-value]
