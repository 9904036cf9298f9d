"""Show the caller's sessions."""

from __future__ import annotations

from gateway.base import text
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import warden_client
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HIDDEN = ("connection", "pid", "views")


def run(context: Context, command: Command) -> int:
    """Print each session and view: principal, address, start, last activity, and when it locks. This is no activity."""
    live = [_fields(session, warden_client.state(context, session)) for session in context.sessions()]
    disk = _disk(context)
    words = "\n".join(map(_text, live)) if live else "no sessions; nothing is unlocked"
    if disk:
        words += f"\ndisk: {disk['used'] >> 20} of {disk['limit'] >> 20} MiB used"
    output.result({"sessions": live, **({"disk": disk} if disk else {})}, words, command.wants_json)
    return 0


def _disk(context: Context) -> dict[str, int]:
    """Bytes that the caller's projects use, and the limit; empty if there is no limit."""
    if not context.config.limits_disk:
        return {}
    from gateway.limits.disk import usage

    return {"used": usage.used(context.vaults_home), "limit": context.config.limits_disk * usage.MEBI}


def _fields(session: Session, state: dict[str, Any]) -> dict[str, Any]:
    """The record of a session and of each view, with the state that the session reports now."""
    of_views = state.pop("views", {})
    views = [{**view.as_dict(), **of_views.get(view.project, {})} for view in session.views]
    record = {key: value for key, value in session.as_dict().items() if key not in _HIDDEN}
    return {**record, **state, "views": views}


def _text(session: dict[str, Any]) -> str:
    head = f"session {session['id']} of {session['principal']} from {session['address']} since {session['since']}"
    key = f"held by {session['anchor']}, key {session['fingerprint']}"
    rows = [("", "LAST ACTIVITY", "AGO", "BY", "LOCKS IN"), _row("(session)", session)]
    rows += [_row(view["project"], view) for view in session["views"]]
    return f"{head}\n{key}\n{text.columns(rows)}"


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    if "idle" not in one:
        return name, "-", "-", "-", "-"
    return name, one["last_activity"], f"{one['idle']} s", one["by"] or "-", f"{one['locks_in']} s"
