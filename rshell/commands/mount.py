"""Unlock a project: in the session of this connection, or in a new one that this channel holds. One that is unlocked by
another machine of the caller's is held by both from then on.
"""

from __future__ import annotations

import os

from gateway.identity.names import ProjectName
from gateway.limits import concurrency
from gateway.sandbox.host import require_host
from gateway.session import launch, maintenance, protocol, registry
from gateway.session.registry import Session
from gateway.session.spec import Anchor
from gateway.vault import gocryptfs, lease, store
from gateway.vault.slots.stored import Slot
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import unlocking
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.errors import EncError


def run(context: Context, command: Command) -> int:
    """Ask for the passphrase, or take a signature, and unlock.

    Without a session on this connection, become one and do not return.
    """
    project = required(command.project)
    store.restore_access(context.vault(project))
    slots = check(context, command)
    if live := _live(context, project):
        return _join(context, command, slots, live)
    _require_room(context)
    request = _request(context, project, slots, concurrency.VIEWS, context.config.limits_views)
    with request:  # the prompt lives on, and both locks are held as long as anybody has their descriptors
        context.require_key()  # typing, and waiting, took their time
        maintenance.require_running(context.config.paths_pause)
        here = context.session_here()
        if here is None and not context.at_prompt:
            anchor = _anchor(context, "mount", command.wants_json).replace(first=request)
            launch.start(context.config, context.caller, anchor, context.vaults_home)
        from gateway.session import asking  # a mount that becomes a session does without: 3 ms for `socket`
        from rshell.session import warden_client

        warden_client.ask(context, here or _own_session(context), request, asking.UNLOCK_SECONDS)
    output.result({"event": "unlocked", "project": project}, f"unlocked {project}", command.wants_json)
    return 0


def _join(context: Context, command: Command, slots: tuple[Slot, ...], live: Session) -> int:
    """Hold what `live` has unlocked: by this channel, until its end, if the connection has no session. It is one view,
    and counts as one; a channel that holds it counts as a session.
    """
    from rshell.session import joining

    project, here = required(command.project), context.session_here()
    stays = here is None and not context.at_prompt
    kind, limit = (concurrency.SESSIONS, context.config.limits_sessions) if stays else (concurrency.VIEWS, 0)
    with _request(context, project, slots, kind, limit) as request:
        joining.prove(context, request, live)
        place = os.dup(request.place)
    try:
        context.require_key()
        maintenance.require_running(context.config.paths_pause)
        if stays:
            return joining.by_channel(context, live, project, command.wants_json)
        if here and here.id == live.id:
            joining.by_holder(context, live, project)
        else:
            joining.by_session(context, live, here or _own_session(context), project)
    finally:
        os.close(place)
    output.result({"event": "unlocked", "project": project}, f"unlocked {project}", command.wants_json)
    return 0


def _request(context: Context, project: ProjectName, slots: tuple[Slot, ...], kind: str, limit: int) -> protocol.Unlock:
    """The request to unlock, with a place of that kind, the secret, and the attempt. Without one, nothing of it
    stays open: the prompt lives on.
    """
    require_key, vault = context.key_checker(), context.vault(project)
    held = [concurrency.acquire(context.config.paths_run, context.caller.principal, kind, limit)]
    try:
        given = unlocking.ask(vault, slots, require_key)
        opened, attempt = unlocking.begin(context, vault, slots, given, require_key)
        held.append(attempt)
        held.append(questions.pipe(opened.secret))
    except BaseException:
        for fd in held:
            os.close(fd)
        raise
    place, attempt, secret = held
    return protocol.Unlock(
        principal=context.caller.principal,
        origin=context.origin,
        project=project,
        slot=opened.slot.name,
        slot_kind=opened.slot.kind.value,
        secret=secret,
        attempt=attempt,
        place=place,
    )


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The slots that the caller can unlock with. Raises the errors that can be found before a secret is asked for."""
    slots, project = _slots(context, command), required(command.project)
    live = _live(context, project)
    if live and (live.protocol < registry.HAS_HOLDERS or live.is_held_on(context.caller.connection, project)):
        raise _unlocked_already(project, live)
    return slots


def check_locked(context: Context, command: Command) -> tuple[Slot, ...]:
    """The same for what only works on a locked project."""
    slots, project = _slots(context, command), required(command.project)
    if live := _live(context, project):
        raise _unlocked_already(project, live)
    return slots


def _slots(context: Context, command: Command) -> tuple[Slot, ...]:
    gocryptfs.require()
    vault = context.vault(command.project)
    slots = unlocking.own(store.check(vault), context.caller.principal, context.caller.principal)
    lease.require_writable(vault)
    return slots


def _require_room(context: Context) -> None:
    """Raise Misconfigured before the passphrase is asked for, when the host has no room for what would begin."""
    registry.require_space(context.config.paths_run)
    if context.session_here() is None:
        require_host()


def _live(context: Context, project: ProjectName) -> Session | None:
    """The session that has the project unlocked. In the end, the vault's lock decides, in the warden."""
    return next((session for session in context.sessions() if session.has(project)), None)


def _unlocked_already(project: ProjectName, live: Session) -> EncError:
    from gateway.errors import Busy

    since = next(view.since for view in live.views if view.project == project)
    by = f"session {live.id} from {live.address} since {since}"
    return Busy(f"{project} is unlocked already by {by}", f"`unmount {project}` locks it")


def _anchor(context: Context, name: str, as_json: bool) -> Anchor:
    return Anchor(name=name, as_json=as_json, request=context.request, began=context.began)


def _own_session(context: Context) -> Session:
    """The prompt's session, started when it is first needed."""
    launch.start_child(context.config, context.caller, _anchor(context, "prompt", as_json=False), context.vaults_home)
    started = context.session_here()
    if started is None:
        from gateway.errors import Internal

        raise Internal("the session ended at once")
    return started
