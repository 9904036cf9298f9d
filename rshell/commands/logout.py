"""End sessions."""

from __future__ import annotations

from gateway.session import registry
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """End the caller's session, or with --all every session of the principal. Returns when all of it is locked. One
    that others hold too is left to them, unless --all is given.
    """
    live, for_all = context.sessions(), "--all" in command.flags
    chosen = live if for_all else (registry.find(live, context.caller.connection),)
    closed = warden_client.close(context, chosen, for_all=for_all)
    lines = [f"closed {', '.join(closed.ended)}"] if closed.ended else []
    lines += [f"left {id_}; it stays open for {warden_client.names(others)}" for id_, others in closed.left]
    if not lines and closed.failed is None:
        lines = ["no sessions; nothing was unlocked"]
    if closed.failed is None or not command.wants_json:
        left = {"left": [{"session": id_, "for": others} for id_, others in closed.left]} if closed.left else {}
        output.result({"closed": list(closed.ended), **left}, "\n".join(lines), command.wants_json)
    if closed.failed:
        raise closed.failed
    return 0
