"""Unlock a project: in the session of this connection, or in a new one that this channel holds. One that is unlocked
already, by another machine of the caller's or by another member, is held by both from then on.

A project that has members gets a session of its own, whoever begins it: nothing else is to stand beside what somebody
else's programs see.
"""

from __future__ import annotations

import os

from gateway.base.records import Record
from gateway.errors import Busy
from gateway.identity.names import Named, SharedName, in_vault
from gateway.limits import concurrency
from gateway.sandbox.host import require_host
from gateway.session import launch, layout, protocol, registry
from gateway.session.registry import Session
from gateway.session.spec import STARTER, Anchor, Home
from gateway.vault import gocryptfs, lease, store
from gateway.vault.members import membership
from gateway.vault.slots.stored import Role, Slot
from rshell.context import Context, required
from rshell.language.command import Command
from rshell.session import unlocking
from rshell.terminal import output, questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.errors import EncError
    from gateway.vault.store import Vault


class _Found(Record):
    """What is known before a secret is asked for: the slots that the caller can unlock with, the session that has the
    project unlocked, and whether it has members.
    """

    slots: tuple[Slot, ...]
    live: Session | None
    shared: bool

    @property
    def role(self) -> Role:
        return self.slots[0].role if self.slots else Role.READER


def run(context: Context, command: Command) -> int:
    """Ask for the passphrase, or take a signature, and unlock.

    Without a session on this connection, become one and do not return.
    """
    project = required(command.project)
    reach(context, project)
    found = _look(context, command)
    if isinstance(project, SharedName):
        layout.add_owner(context.config.paths_run, context.caller.principal, project.owner)
    if found.live:
        return _join(context, command, found, found.live)
    _require_room(context)
    request = _request(context, project, found.slots, concurrency.VIEWS, context.config.limits_views)
    with request:  # the prompt lives on, and both locks are held as long as anybody has their descriptors
        context.require_key()  # typing, and waiting, took their time
        context.require_running()
        here = context.session_here()
        if here is None and not context.at_prompt:
            anchor = _anchor(context, "mount", command.wants_json).replace(first=request)
            launch.start(context.config, context.caller, anchor, _home(context, project, found), context.shared_state())
        if found.shared:
            _begin_for(context, here or _own_session(context), project, request, found)
        else:
            from gateway.session import asking  # a mount that becomes a session does without: 3 ms for `socket`
            from rshell.session import warden_client

            warden_client.ask(context, here or _own_session(context), request, asking.UNLOCK_SECONDS)
    output.result({"event": "unlocked", "project": project}, f"unlocked {project}", command.wants_json)
    return 0


def reach(context: Context, project: Named) -> Vault:
    """The vault, to which the gateway has access again. Raises NoSuchProject, and as `Context.require_here` for one
    that is unlocked on another host.
    """
    if not context.session_with(project):
        context.require_here(project)
    vault = context.vault(project)
    store.restore_access(vault)
    return vault


def _home(context: Context, project: Named, found: _Found) -> Home:
    return context.home_of(project, found.role.value, found.shared)


def _begin_for(context: Context, own: Session, project: Named, request: protocol.Unlock, found: _Found) -> None:
    """Start a session for the project alone, which the session of this connection then holds."""
    from rshell.session import joining

    anchor = _anchor(context, STARTER, as_json=False).replace(first=request)
    home = _home(context, project, found)
    starter = launch.start_child(context.config, context.caller, anchor, home, context.shared_state())
    try:
        joining.by_session(context, _require_live(context, project), own, project, found.role)
    finally:
        os.close(starter)


def _require_live(context: Context, project: Named) -> Session:
    if live := context.session_with(project):
        return live
    raise Busy(f"{project} was locked again at once", "try again")


def _join(context: Context, command: Command, found: _Found, live: Session) -> int:
    """Hold what `live` has unlocked: by this channel, until its end, if the connection has no session. It is one view,
    and counts as one; a channel that holds it counts as a session.
    """
    from rshell.session import joining

    project, here = required(command.project), context.session_here()
    stays = here is None and not context.at_prompt
    kind, limit = (concurrency.SESSIONS, context.config.limits_sessions) if stays else (concurrency.VIEWS, 0)
    with _request(context, project, found.slots, kind, limit) as request:
        joining.prove(context, request, live)
        place = os.dup(request.place)
    try:
        context.require_key()
        context.require_running()
        if stays:
            return joining.by_channel(context, live, project, found.role, command.wants_json)
        if here and here.id == live.id:
            joining.by_holder(context, live, project)
        else:
            joining.by_session(context, live, here or _own_session(context), project, found.role)
    finally:
        os.close(place)
    output.result({"event": "unlocked", "project": project}, f"unlocked {project}", command.wants_json)
    return 0


def _request(context: Context, project: Named, slots: tuple[Slot, ...], kind: str, limit: int) -> protocol.Unlock:
    """The request to unlock, with a place of that kind, the secret, and the attempt. Without one, nothing of it
    stays open: the prompt lives on.
    """
    require_key, vault = context.key_checker(), context.vault(project)
    held = [concurrency.acquire(context.shared_state(), context.caller.principal, kind, limit)]
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
        project=in_vault(project),
        called=project,
        slot=opened.slot.name,
        slot_kind=opened.slot.kind.value,
        slot_id=opened.slot.id,
        secret=secret,
        attempt=attempt,
        place=place,
    )


def check(context: Context, command: Command) -> tuple[Slot, ...]:
    """The slots that the caller can unlock with. Raises the errors that can be found before a secret is asked for."""
    return _look(context, command).slots


def _look(context: Context, command: Command) -> _Found:
    found, project, here = _find(context, command), required(command.project), context.session_here()
    if here and here.protocol < registry.HAS_MEMBERS:
        raise Busy(f"session {here.id} is from before an upgrade of the gateway", "log out, and log in again")
    if live := found.live:
        if live.protocol < registry.HAS_MEMBERS or live.is_held_on(context.caller.connection, project):
            raise _unlocked_already(project, live)
        if isinstance(project, SharedName) and not live.shared:
            reason = f"{project.owner} has {project} unlocked beside other projects, since before you had access"
            raise Busy(reason, "ask them to unmount and mount it again; then you can join")
    return found


def check_locked(context: Context, command: Command) -> tuple[Slot, ...]:
    """The same for what only works on a locked project."""
    found = _find(context, command)
    if found.live:
        raise _unlocked_already(required(command.project), found.live)
    return found.slots


def _find(context: Context, command: Command) -> _Found:
    """In the end, whether it is unlocked is decided by the vault's lock, in the warden."""
    gocryptfs.require()
    project, owner = required(command.project), context.owner_of(command.project)
    live = context.session_with(project)
    if not live:
        context.require_here(project)
    vault = context.vault(project)
    slots = store.check(vault)
    own = unlocking.own(vault, slots, context.caller.principal, owner)
    lease.require_writable(vault)
    lease.require_no_rekey(vault)
    is_shared = isinstance(project, SharedName) or bool(membership.of(slots, owner))
    return _Found(slots=own, live=live, shared=is_shared)


def _require_room(context: Context) -> None:
    """Raise Misconfigured before the passphrase is asked for, when the host has no room for what would begin."""
    registry.require_space(context.config.paths_run)
    if context.session_here() is None:
        require_host()


def _unlocked_already(project: Named, live: Session) -> EncError:
    since = next(view.since for view in live.views if view.project == project)
    by = f"session {live.id} from {live.address} since {since}"
    return Busy(f"{project} is unlocked already by {by}", f"`unmount {project}` locks it")


def _anchor(context: Context, name: str, as_json: bool) -> Anchor:
    return Anchor(name=name, as_json=as_json, request=context.request, began=context.began)


def _own_session(context: Context) -> Session:
    """The prompt's session, started when it is first needed."""
    anchor = _anchor(context, "prompt", as_json=False)
    launch.start_child(  # held as long as this process lives
        context.config, context.caller, anchor, context.home_of(), context.shared_state()
    )
    started = context.session_here()
    if started is None:
        from gateway.errors import Internal

        raise Internal("the session ended at once")
    return started
