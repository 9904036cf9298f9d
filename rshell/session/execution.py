"""A front's side of `run`, `shell`, git, rsync and scp: ask the session, copy what goes through a terminal, and wait
for the end.

Without a terminal the program gets our standard descriptors themselves, unless its output is limited.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack

from gateway.base.records import Fd, Record
from gateway.errors import Busy, Denied, Internal, NotUnlocked, Stopped
from gateway.identity.names import Named, ProjectName, in_vault
from gateway.sandbox import cgroups, paths, syscall_filter
from gateway.sandbox.limits import Limits
from gateway.sandbox.target import Target
from gateway.session import channel, protocol, registry, traffic, warden_process
from gateway.session.protocol import Attach, Cgroup, Enter, Execute, NewTerminal, Stdio
from gateway.session.registry import Session
from rshell.session import warden_client
from rshell.session.transfer import Paths, project_of
from rshell.terminal.relay import Relay, dropped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from gateway.sandbox.cgroups import ProgramCgroup
    from rshell.context import Context

_KINDS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._")


class Wanted(Record):
    """The program to run. `label` is its name in `status`, `seconds` the time limit that the user gave (0: none)."""

    project: Named
    label: str
    arguments: tuple[str, ...]
    directory: str
    network: bool = False
    seconds: int = 0


def directory(project: Named) -> str:
    """The path of a project's view, which is the same in every sandbox."""
    return f"{paths.PROJECTS}/{project}"


def run(context: Context, wanted: Wanted) -> int:
    """Run it in the session that has the project; return its exit status. Raises Stopped at a limit."""
    session, config = context.require_session(wanted.project), context.config
    with ExitStack() as held:
        confined, cgroup = _confined(context, session, wanted.project, held, network=wanted.network)
        times = traffic.memory()
        held.callback(os.close, times)
        request = _execute(context, wanted, confined, times)
        status = _through(context, session, request, times, config.run_output << 20)
        if status and cgroup and cgroup.was_oom_killed():
            raise Stopped(f"the program was stopped: it used more than {config.run_memory} MiB of memory")
        return status


def enter(context: Context, project: Named, key: str, home: bool) -> int:
    """Make our standard input and output a channel of the caller's workspace, for the public `key`; return the exit
    status of its sshd. With `home`, a workspace that begins has its home in the project. Raises Denied for one that is
    shared.
    """
    reply = _ask_workspace(context, project, home, key, Stdio(stdin=Fd(0), stdout=Fd(1), stderr=Fd(2)))
    if not isinstance(reply, protocol.Exited):
        raise Internal("the session gave no proper answer")
    return reply.status


def host_key(context: Context, project: Named, home: bool) -> str:
    """The public key of the caller's workspace, which begins if there is none."""
    reply = _ask_workspace(context, project, home, "", None)
    if not isinstance(reply, protocol.HostKey):
        raise Internal("the session gave no proper answer")
    return reply.key


def _ask_workspace(context: Context, project: Named, home: bool, key: str, stdio: Stdio | None) -> protocol.Message:
    session = context.require_session(project)
    if session.protocol < registry.HAS_WORKSPACES:
        raise Busy(
            f"{project} was unlocked before an upgrade of the gateway", f"`unmount {project}`, and mount it again"
        )
    if home and session.shared:
        raise Denied("its members would see a home in a project that is shared", "leave out --home")
    with ExitStack() as held:
        confined, _ = _confined(context, session, project, held, outlives=True)
        request = Enter(**confined, key=key, home=home, stdio=stdio)
        return warden_client.answer(context, session, request)


def _confined(
    context: Context, session: Session, project: Named, held: ExitStack, network: bool = False, outlives: bool = False
) -> tuple[dict[str, Any], ProgramCgroup | None]:
    """The fields of a protocol.Confined, whose descriptors are `held`, and its cgroup, if there is one. It goes with us
    unless its program `outlives` us.
    """
    config = context.config
    target = Target(
        name=session.id, pid=session.pid, is_live=lambda: warden_process.is_running(config.paths_run, session)
    )
    held.callback(os.close, warden_client.take_place(context))
    filter_ = syscall_filter.open_filter(config.paths_run)
    held.callback(os.close, filter_)
    namespace = None
    if network:
        namespace = held.enter_context(_network(context, target, project))
    most = cgroups.Limits(memory=config.run_memory, processes=config.run_processes)
    cgroup = held.enter_context(cgroups.program_cgroup(target, most, outlives))
    limits = Limits(
        processes=config.run_processes,
        memory=config.run_memory,
        cpu=config.run_cpu,
        file_size=config.run_file_size,
        tmpfs=config.run_tmpfs,
    )
    fields = {
        "principal": context.caller.principal,
        "origin": context.origin,
        "project": in_vault(project),
        "paths": config.run_paths,
        "limits": limits,
        "filter": filter_,
        "network": namespace,
        "cgroup": Cgroup(enter=cgroup.enter, leave=cgroup.leave) if cgroup else None,
    }
    return fields, cgroup


def _network(context: Context, target: Target, project: Named) -> AbstractContextManager[Fd]:
    """The namespace of a program's network, of the kind that the configuration says."""
    from gateway.sandbox.network import egress, nat

    listed = context.config.run_network
    if isinstance(listed, str):
        return nat.program_network(target)
    audit = context.audit.bound(project=project)
    return egress.program_network(target, listed, context.config.paths_run, audit)


def _environment(context: Context, network: bool) -> tuple[str, ...]:
    """Words before those of a program with `network`."""
    if not network or isinstance(context.config.run_network, str):
        return ()
    from gateway.sandbox.network import egress

    return ("/usr/bin/env", *egress.environment())


def transfer(context: Context, session: Session, program: str, arguments: tuple[str, ...], paths: Paths) -> int:
    """Run a transfer's `program` for `paths`, its last arguments, in the session that has them; return its exit status.

    The data that passes and its processor time count as use: it can compare for an hour and read no file.
    """
    arguments = (*arguments, *paths.words)
    with ExitStack() as held:
        held.callback(os.close, warden_client.take_place(context))
        times = traffic.memory()
        held.callback(os.close, times)
        request = warden_client.attach(context, program, arguments).replace(
            project=_first_project(context, paths),
            patterns=paths.patterns if any(paths.patterns) else (),
            traffic=times,
        )
        return _through(context, session, request, times)


def _first_project(context: Context, paths: Paths) -> ProjectName | None:
    sharers = context.sharers()
    return next((in_vault(found) for path in paths.words if (found := project_of(path, sharers))), None)


def _through(context: Context, session: Session, request: Execute | Attach, times: Fd, limit: int = 0) -> int:
    """The same with the session's help. `times` is the memory of data that passes, `limit` is of output, in bytes."""
    try:
        data_passed = traffic.Recorder(times).data_passed
        with warden_client.connection(context, session) as answers, Relay(limit, data_passed) as relay:
            if not isinstance(request, Execute) or request.terminal is None:
                stdin, stdout, stderr = relay.standard()
                request = request.replace(stdio=Stdio(stdin=stdin, stdout=stdout, stderr=stderr))
            warden_client.send(context, answers, request)
            relay.close_program_ends()
            return _attend(answers, relay)
    except (OSError, protocol.Malformed) as error:
        raise NotUnlocked(f"session {session.id} has just ended") from error


def _execute(context: Context, wanted: Wanted, confined: dict[str, Any], times: Fd) -> Execute:
    """All but the standard descriptors, which what has no terminal still needs."""
    on_terminal = wanted.label in ("run", "shell") and os.isatty(0) and os.isatty(1)
    return Execute(
        **confined,
        label=wanted.label,
        arguments=(*_environment(context, wanted.network), *wanted.arguments),
        directory=wanted.directory,
        seconds=min((one for one in (wanted.seconds, context.config.run_time) if one), default=0),
        traffic=times,
        terminal=_terminal(context.terminal) if on_terminal else None,
        stdio=None,
    )


def _terminal(term: str) -> NewTerminal:
    """One as ours is. Raises Dropped when that is gone."""
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError as error:
        raise dropped() from error
    return NewTerminal(type=_kind(term), rows=rows, columns=columns)


def _kind(term: str) -> str:
    """TERM for the program: the client's if the gateway knows it, else one that most terminals understand."""
    if not (0 < len(term) <= 63 and _KINDS.issuperset(term) and term[0] not in ".-"):
        return "dumb"
    kind: str
    for kind in (term, *(("screen-256color",) if term.startswith(("screen", "tmux")) else ()), *_FALLBACK):
        if any(os.path.exists(f"{place}/{kind[0]}/{kind}") for place in _TERMINFO):
            return kind
    return "dumb"


_FALLBACK = ("xterm-256color", "xterm", "vt100")
_TERMINFO = ("/etc/terminfo", "/usr/lib/terminfo", "/lib/terminfo", "/usr/share/terminfo")


def _attend(answers: socket, relay: Relay) -> int:
    """Wait until the session reports the program's end; return the exit status."""
    while True:
        relay.copy_until(answers.fileno())
        reply = channel.receive(answers)
        if reply is None:
            raise OSError("the session has ended")
        with reply:
            match reply:
                case protocol.Terminal():
                    relay.attach(os.dup(reply.controller))
                case protocol.Exited():
                    relay.drain()
                    return reply.status
                case protocol.Failed():
                    relay.drain()
                    raise protocol.error_of(reply)
                case _:
                    raise Internal("the session gave no proper answer")
