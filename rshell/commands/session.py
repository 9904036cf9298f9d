"""Hold a session open without a project, as `enc login` does."""

from __future__ import annotations

from gateway.errors import Busy
from gateway.session import launch
from gateway.session.spec import Anchor
from rshell.context import Context
from rshell.language.command import Command


def run(context: Context, command: Command) -> int:
    """Replace this process by a session that lasts until the channel closes. Does not return."""
    here = context.session_here()
    if here or context.at_prompt:
        raise Busy(f"this connection has a session already{f': {here.id}' if here else ''}")
    anchor = Anchor(name="session", as_json=command.wants_json, request=context.request, began=context.began)
    launch.start(context.config, context.caller, anchor, context.vaults_home)
    raise AssertionError("start does not return")
