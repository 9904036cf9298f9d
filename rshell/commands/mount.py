"""Unlock a project: in the session of this connection, or in a new one that this channel holds. One that is unlocked by
another machine of the caller's is held by both from then on.
"""

from __future__ import annotations

import os

from gateway.base.records import Fd
from gateway.identity.names import ProjectName
from gateway.limits import backoff, concurrency
from gateway.sandbox.host import require_host
from gateway.session import launch, maintenance, protocol, registry
from gateway.session.registry import Session
from gateway.session.spec import Anchor
from gateway.vault import gocryptfs, lease, store
from gateway.vault.slots import Slot
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import spelling
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.errors import EncError


def run(context: Context, command: Command) -> int:
    """Ask for the passphrase and unlock. Without a session on this connection, become one and do not return."""
    project = required(command.project)
    store.restore_access(context.vault(project))
    slot = check(context, command)
    if live := _live(context, project):
        return _join(context, command, slot, live)
    _require_room(context)
    request = _request(context, project, slot, concurrency.VIEWS, context.config.limits_views)
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


def _join(context: Context, command: Command, slot: Slot, live: Session) -> int:
    """Hold what `live` has unlocked: by this channel, until its end, if the connection has no session. It is one view,
    and counts as one; a channel that holds it counts as a session.
    """
    from rshell.session import joining

    project, here = required(command.project), context.session_here()
    stays = here is None and not context.at_prompt
    kind, limit = (concurrency.SESSIONS, context.config.limits_sessions) if stays else (concurrency.VIEWS, 0)
    with _request(context, project, slot, kind, limit) as request:
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


def _request(context: Context, project: ProjectName, slot: Slot, kind: str, limit: int) -> protocol.Unlock:
    """The request to unlock, with a place of that kind, the passphrase, and the attempt. Without one, nothing of it
    stays open: the prompt lives on.
    """
    require_key, vault = context.key_checker(), context.vault(project)
    held = [concurrency.acquire(context.config.paths_run, context.caller.principal, kind, limit)]
    try:
        line = questions.secret(f"Passphrase of {project}: ", require_key)
        attempt = begin_attempt(context, project, require_key)
        held.append(questions.pipe(spelling.choose(vault, slot, line, attempt)))
        held.append(attempt)
    except BaseException:
        for fd in held:
            os.close(fd)
        raise
    place, secret, attempt = held
    return protocol.Unlock(
        principal=context.caller.principal,
        origin=context.origin,
        project=project,
        slot=slot.name,
        secret=secret,
        attempt=attempt,
        place=place,
    )


def check(context: Context, command: Command) -> Slot:
    """The slot to unlock. Raises the errors that can be found before the passphrase is asked for."""
    slot, project = _slot(context, command), required(command.project)
    live = _live(context, project)
    if live and (live.protocol < registry.HAS_HOLDERS or live.is_held_on(context.caller.connection, project)):
        raise _unlocked_already(project, live)
    return slot


def check_locked(context: Context, command: Command) -> Slot:
    """The same for what only works on a locked project."""
    slot, project = _slot(context, command), required(command.project)
    if live := _live(context, project):
        raise _unlocked_already(project, live)
    return slot


def _slot(context: Context, command: Command) -> Slot:
    gocryptfs.require()
    vault = context.vault(command.project)
    slot = store.check(vault)[0]
    lease.require_writable(vault)
    return slot


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


def begin_attempt(context: Context, project: ProjectName, check: Callable[[], None]) -> Fd:
    """Wait as long as the principal's earlier wrong passphrases for the project cost. `check` is called twice a second;
    what it raises ends the wait, and the attempt.
    """
    attempt = backoff.begin_attempt(context.config.paths_run, context.caller.principal, check)
    try:
        seconds = backoff.delay(attempt, project, context.config.passphrase_wait_max)
        if seconds >= 0.05:  # less is none at a tenth of a second
            output.note(f"waiting {seconds:.1f} s after wrong passphrases")
            backoff.wait(seconds, check)
    except BaseException:  # Ctrl-C at the prompt: the lock would keep everybody of the principal from unlocking
        os.close(attempt)
        raise
    return attempt


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
