"""A front's side of `run`, `shell` and git: ask the session, copy what goes through a terminal, wait for the end.

Without a terminal the program gets our standard descriptors themselves, unless its output is limited.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from gateway.base.records import Record
from gateway.errors import Internal, NotUnlocked, Stopped
from gateway.identity.names import ProjectName
from gateway.sandbox import cgroups, paths, syscall_filter
from gateway.sandbox.target import Target
from gateway.session import channel, liveness, protocol, registry
from gateway.session.registry import Session
from rshell.session import warden_client
from rshell.terminal.relay import Relay, dropped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from rshell.context import Context

_KINDS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._")


class Wanted(Record):
    """The program to run. `label` is its name in `status`, `seconds` the time limit that the user gave (0: none)."""

    project: ProjectName
    label: str
    arguments: tuple[str, ...]
    directory: str
    network: bool = False
    seconds: int = 0


def directory(project: str) -> str:
    """The path of a project's view, which is the same in every sandbox."""
    return f"{paths.PROJECTS}/{project}"


def run(context: Context, wanted: Wanted) -> int:
    """Run it in the session that has the project; return its exit status. Raises Stopped at a limit."""
    session = registry.with_project(context.live(), wanted.project)
    config = context.config
    target = Target(name=session.id, pid=session.pid, is_live=lambda: not liveness.has_ended(config.paths_run, session))
    with ExitStack() as held:
        held.callback(os.close, warden_client.take_place(context))
        given = [syscall_filter.descriptor(config.paths_run)]
        held.callback(os.close, given[0])
        if wanted.network:
            from gateway.sandbox import network

            given.append(held.enter_context(network.given(target)))
        limits = cgroups.Limits(memory=config.run_memory, processes=config.run_processes)
        room = held.enter_context(cgroups.given(target, limits))
        if room:
            given += [room.enter, room.leave]
        status = _through(context, session, wanted, given, in_cgroup=room is not None)
        if status and room and room.ran_out():
            raise Stopped(f"the program was stopped: it used more than {config.run_memory} MiB of memory")
        return status


def _through(context: Context, session: Session, wanted: Wanted, given: Sequence[int], in_cgroup: bool) -> int:
    """The same with the session's help; `given` are the descriptors that go before the standard ones."""
    on_terminal = wanted.label in ("run", "shell") and os.isatty(0) and os.isatty(1)
    try:
        with warden_client.connection(context, session) as answers, Relay(context.config.run_output << 20) as relay:
            stdio = () if on_terminal else relay.standard()
            channel.send(answers, _request(context, wanted, on_terminal, in_cgroup), [*given, *stdio])
            relay.begun()
            return _attend(answers, relay)
    except (OSError, protocol.Malformed) as error:
        raise NotUnlocked(f"session {session.id} has just ended") from error


def _request(context: Context, wanted: Wanted, on_terminal: bool, in_cgroup: bool) -> protocol.Execute:
    config = context.config
    rows, columns = _size() if on_terminal else (0, 0)
    seconds = min((one for one in (wanted.seconds, config.run_time) if one), default=0)
    return protocol.Execute(
        principal=context.caller.principal,
        origin=context.origin,
        project=wanted.project,
        label=wanted.label,
        arguments=wanted.arguments,
        directory=wanted.directory,
        paths=config.run_paths,
        terminal=_kind(context.terminal) if on_terminal else "",
        rows=rows,
        columns=columns,
        network=int(wanted.network),
        cgroup=int(in_cgroup),
        seconds=seconds,
        processes=config.run_processes,
        memory=config.run_memory,
        cpu=config.run_cpu,
        file_size=config.run_file_size,
        tmpfs=config.run_tmpfs,
    )


def _size() -> tuple[int, int]:
    """Rows and columns of our terminal. Raises Dropped when it is gone."""
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError as error:
        raise dropped() from error
    return rows, columns


def _kind(term: str) -> str:
    """TERM for the program: the client's if its characters are harmless, else `dumb`."""
    return term if 0 < len(term) <= 63 and _KINDS.issuperset(term) else "dumb"


def _attend(answers: socket, relay: Relay) -> int:
    """Wait until the session reports the program's end; return the exit status."""
    while True:
        relay.until_ready(answers.fileno())
        received = channel.receive(answers)
        if received is None:
            raise OSError("the session has ended")
        reply, fds = received
        match reply:
            case protocol.Terminal() if len(fds) == 1:
                relay.attach(fds[0])
            case protocol.Exited():
                relay.drain()
                return reply.status
            case protocol.Failed():
                relay.drain()
                raise protocol.error_of(reply)
            case _:
                raise Internal("the session gave no proper answer")
