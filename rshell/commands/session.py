"""Hold a session open without a project, as `enc login` does."""

from __future__ import annotations

from gateway.errors import Busy
from gateway.sandbox.host import require_host
from gateway.session import launch, registry
from gateway.session.spec import Anchor
from rshell.context import Context
from rshell.language.command import Command


def run(context: Context, command: Command) -> int:
    """Replace this process by a session that lasts until the channel closes. Does not return."""
    here = context.session_here()
    if here or context.at_prompt:
        raise Busy(f"this connection has a session already{f': {here.id}' if here else ''}")
    registry.require_space(context.config.paths_run)
    require_host()
    anchor = Anchor(name="session", as_json=command.wants_json, request=context.request, began=context.began)
    launch.start(context.config, context.caller, anchor, context.home_of(), context.shared_state())
    raise AssertionError("start does not return")
