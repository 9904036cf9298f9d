"""A front's side of `run`, `shell`, git, rsync and scp: ask the session, copy what goes through a terminal, and wait
for the end.

Without a terminal the program gets our standard descriptors themselves, unless its output is limited.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from gateway.base.records import Record
from gateway.errors import Internal, NotUnlocked, Stopped
from gateway.identity.names import Named, ProjectName, in_vault
from gateway.sandbox import cgroups, paths, syscall_filter
from gateway.sandbox.limits import Limits
from gateway.sandbox.target import Target
from gateway.session import channel, protocol, registry, traffic, warden_process
from gateway.session.protocol import Attach, Cgroup, Execute, NewTerminal, Stdio
from gateway.session.registry import Session
from rshell.session import warden_client
from rshell.session.transfer import Paths, project_of
from rshell.terminal.relay import Relay, dropped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from gateway.base.records import Fd
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
    session = registry.with_project(context.all_sessions(), wanted.project)
    config = context.config
    target = Target(
        name=session.id, pid=session.pid, is_live=lambda: warden_process.is_running(config.paths_run, session)
    )
    with ExitStack() as held:
        held.callback(os.close, warden_client.take_place(context))
        filter_ = syscall_filter.open_filter(config.paths_run)
        held.callback(os.close, filter_)
        namespace = None
        if wanted.network:
            from gateway.sandbox import network

            namespace = held.enter_context(network.program_network(target))
        times = traffic.memory()
        held.callback(os.close, times)
        limits = cgroups.Limits(memory=config.run_memory, processes=config.run_processes)
        cgroup = held.enter_context(cgroups.program_cgroup(target, limits))
        request = _request(context, wanted, filter_, namespace, cgroup, times)
        status = _through(context, session, request, times, config.run_output << 20)
        if status and cgroup and cgroup.was_oom_killed():
            raise Stopped(f"the program was stopped: it used more than {config.run_memory} MiB of memory")
        return status


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


def _request(
    context: Context, wanted: Wanted, filter_: Fd, namespace: Fd | None, cgroup: ProgramCgroup | None, times: Fd
) -> Execute:
    """All but the standard descriptors, which what has no terminal still needs."""
    config = context.config
    on_terminal = wanted.label in ("run", "shell") and os.isatty(0) and os.isatty(1)
    seconds = min((one for one in (wanted.seconds, config.run_time) if one), default=0)
    return Execute(
        principal=context.caller.principal,
        origin=context.origin,
        project=in_vault(wanted.project),
        label=wanted.label,
        arguments=wanted.arguments,
        directory=wanted.directory,
        paths=config.run_paths,
        seconds=seconds,
        limits=Limits(
            processes=config.run_processes,
            memory=config.run_memory,
            cpu=config.run_cpu,
            file_size=config.run_file_size,
            tmpfs=config.run_tmpfs,
        ),
        filter=filter_,
        traffic=times,
        network=namespace,
        cgroup=Cgroup(enter=cgroup.enter, leave=cgroup.leave) if cgroup else None,
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
