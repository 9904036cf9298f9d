"""Show the caller's sessions."""

from __future__ import annotations

from gateway.base import text
from gateway.cluster import mirror
from gateway.errors import EncError
from gateway.identity import authorized_keys
from gateway.session import registry
from gateway.session.registry import Session
from rshell.context import Context
from rshell.language.command import Command
from rshell.language.grammar import printable
from rshell.session import warden_client
from rshell.terminal import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COUNT_SECONDS = 6.0
"""A little more than the count takes when it gives up."""

_HIDDEN = ("connection", "pid", "views", "protocol", "holders")


def run(context: Context, command: Command) -> int:
    """Print each session and view: principal, address, start, last activity, and when it locks. This is no activity.

    A session that does not answer is listed as such; then this raises Busy.
    """
    sessions = context.all_sessions()
    states = warden_client.states(context, sessions)
    live = [_fields(session, states[session.id], context.caller.connection) for session in sessions]
    live += _elsewhere(context)
    _add_labels(context, live)
    silent = next((state for state in states.values() if isinstance(state, EncError)), None)
    disk = _disk(context)
    show = _table if output.is_for_person() else _text
    words = "\n".join(map(show, live)) if live else "no sessions; nothing is unlocked"
    if disk:
        words += f"\ndisk: {disk['used'] >> 20} of {disk['limit'] >> 20} MiB used"
    output.result({"sessions": live, **({"disk": disk} if disk else {})}, words, command.wants_json)
    if silent:
        output.note(f"enc: {silent.line()}")
        return silent.code
    return 0


def _elsewhere(context: Context) -> list[dict[str, Any]]:
    """Those on other hosts of a cluster, as these have last told: `host` says which, and nothing when each locks."""
    return [
        {**_fields(session, {}, ""), "answers": not mirror.is_silent(seen), "host": seen.record.host}
        for seen, session in mirror.sessions(context.config, context.caller.principal)
    ]


def _disk(context: Context) -> dict[str, int]:
    """Bytes that the caller's projects use, and the limit; empty if there is no limit, or the disk does not answer."""
    if not context.config.limits_disk:
        return {}
    from gateway.base import process
    from gateway.limits.disk import usage

    counted = process.ask(lambda: b"%d" % usage.used(context.vaults_home), _COUNT_SECONDS)
    return {"used": int(counted), "limit": context.config.limits_disk * usage.MEBI} if counted else {}


def _fields(session: Session, state: dict[str, Any] | EncError, here: str) -> dict[str, Any]:
    """The record of a session, of each view and of each holder, with the state that the session reports now. `here` is
    the caller's connection.
    """
    answers = not isinstance(state, EncError)
    if isinstance(state, EncError):
        state = {}
    of_views = state.pop("views", {})
    views = [{**view.as_dict(), **of_views.get(view.project, {})} for view in session.views]
    record = {key: value for key, value in session.as_dict().items() if key not in _HIDDEN}
    holders = state.pop("holders", None) or [one.as_dict() for one in session.holders]
    holders = [
        {**{key: value for key, value in one.items() if key != "connection"}, "here": one["connection"] == here}
        for one in holders
    ]
    return {**record, "answers": answers, **state, "views": views, "holders": holders}


def _add_labels(context: Context, live: list[dict[str, Any]]) -> None:
    """Add to each session and program the label that its key's line has in authorized_keys; "" for none."""
    records = [record for session in live for record in (session, *session.get("attached", ()))]
    known = {context.caller.fingerprint: context.label}
    if any(record["fingerprint"] not in known for record in records):
        for entry in authorized_keys.load(context.config.paths_authorized_keys):
            if entry.principal == context.caller.principal and authorized_keys.is_key(entry.key_type, entry.blob):
                known[authorized_keys.fingerprint(entry.blob)] = entry.label
    for record in records:
        record["label"] = printable(known.get(record["fingerprint"], ""))


def _table(session: dict[str, Any]) -> str:
    """A session for a person, in 80 columns."""
    key = session["label"] or session["fingerprint"]
    head = f"session {session['id']}{_on(session)} of {key} from {session['address']}, since {session['since']}"
    if session["shared"]:
        which = f"session {session['id']}{_on(session)}"
        head = f"{which} of a shared project, since {session['since']}; who has it unlocked:"
    rows = [("PROJECT", "LAST USE", "BY", "LOCKS IN"), _short_row("(session)", session)]
    rows += [_short_row(view["project"], view) for view in session["views"]]
    return "\n".join(filter(None, (head, _others(session), text.columns(rows))))


def _on(session: dict[str, Any]) -> str:
    return f" on {session['host']}" if "host" in session else ""


def _others(session: dict[str, Any]) -> str:
    """Who has a shared project unlocked, a line each; "" for a session of one principal."""
    if not session["shared"]:
        return ""
    return "\n".join(
        f"  {one['principal']} ({one['role']}) from {one['address']} since {one['since']}" for one in session["holders"]
    )


def _short_row(name: str, one: dict[str, Any]) -> tuple[str, str, str, str]:
    if "idle" not in one:
        return name, "-" if one.get("answers", True) else "does not answer", "-", "now" if "locking" in one else "-"
    programs = dict.fromkeys(by.partition(" from ")[0] for by in one["by"].split(", ") if " from " in by)
    by = ", ".join(programs) or one["last_activity"]
    return name, text.ago(one["idle"]), by, text.duration(one["locks_in"])


def _text(session: dict[str, Any]) -> str:
    first = session["holders"][0] if session["shared"] else session
    which = f"session {session['id']}{_on(session)} of {first['principal']}"
    head = f"{which} from {session['address']} since {session['since']}"
    key = f"held by {session['anchor']}, key {session['fingerprint']}"
    rows = [("", "LAST ACTIVITY", "AGO", "BY", "LOCKS IN"), _row("(session)", session)]
    rows += [_row(view["project"], view) for view in session["views"]]
    if len(session["holders"]) > 1:
        rows += [_row(_holder(one, session["shared"]), one) for one in session["holders"]]
    rows += [_program_row(program) for program in session.get("attached", ())]
    keys = [f"{one['program']} from {one['origin']}: key {one['fingerprint']}" for one in session.get("attached", ())]
    held = [_held(one) for one in session["holders"][1:]]
    return "\n".join((head, key, *held, *keys, text.columns(rows)))


def _held(one: dict[str, Any]) -> str:
    role = "" if one["role"] == registry.OWNER else f" ({one['role']})"
    who = f"{one['principal']}{role} from {one['address']} since {one['since']}"
    return f"also held by {who}, key {one['fingerprint']}: {' '.join(one['projects']) or 'no project'}"


def _holder(one: dict[str, Any], shared: bool) -> str:
    whose = f"{one['principal']}, " if shared else ""
    return f"{whose}{one['kind']} from {one['address']}"


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    if "idle" not in one:
        return (
            name,
            "-" if one.get("answers", True) else "does not answer",
            "-",
            "-",
            "now" if "locking" in one else "-",
        )
    return name, one["last_activity"], f"{one['idle']} s", one["by"] or "-", f"{one['locks_in']} s"


def _program_row(program: dict[str, Any]) -> tuple[str, ...]:
    name = f"{program['program']} in {program['project']}" if program["project"] else program["program"]
    return name, program["last_activity"], f"{program['idle']} s", program["origin"], "-"
