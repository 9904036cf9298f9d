"""End sessions."""

from __future__ import annotations

from gateway.cluster import mirror
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output


def run(context: Context, command: Command) -> int:
    """End the caller's session, or with --all every session of the principal. Returns when all of it is locked. One
    that others hold too is left to them, unless --all is given.
    """
    live, for_all = context.sessions(), "--all" in command.flags
    chosen = live if for_all else (context.session_of_channel(live),)
    if for_all:
        _name_others(context)
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


def _name_others(context: Context) -> None:
    """Say on which other hosts of a cluster the caller has sessions, which end there alone."""
    for seen, session in mirror.sessions(context.config, context.caller.principal):
        if not session.shared or session.is_held_by(context.caller.principal):
            where = f"{seen.record.host} ({seen.record.address})"
            output.note(f"session {session.id} is on {where}; `logout --all` there ends it")
