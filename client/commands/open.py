"""`enc open`."""

from __future__ import annotations

import os
import shlex
import signal

import click

from client import options, output
from client.completion import PROJECT
from client.errors import Missing
from client.mount import condition, teardown
from client.operations import projects
from client.state import store as stores
from client.state import terminal as terminals
from client.state.config import Profile
from client.state.store import Store
from client.system import children


@click.command("open")
@PROJECT
@click.option("--editor", is_flag=True, help="Open $VISUAL or $EDITOR instead of a shell.")
@options.patient_gateway
def command(profile: Profile, project: str, editor: bool, as_json: bool) -> int:
    """Mount PROJECT and open a shell in it, or with --editor an editor. When that ends, unmount and lock.

    If it is mounted already, it stays mounted. The exit status is that of the shell or editor.
    """
    store, terminal = stores.of(profile), terminals.this_process()
    argv = [*_editor(), "."] if editor else [os.environ.get("SHELL") or "/bin/sh"]
    program = "editor" if editor else "shell"
    if there := _mounted(store, project):
        output.note(f"{project} is mounted at {output.short(there)}, and stays mounted when this {program} ends")
        status = _run(argv, there)
        output.result(
            {"project": project, "exit": status}, f"{project} is still mounted at {output.short(there)}", as_json
        )
        return status
    try:
        made = projects.mount_project(profile, store, terminal, project)
        mount = made.mount
        if made.note:
            output.note(made.note)
        output.note(f"{project} is mounted at {output.short(mount.directory)}; it is locked when this {program} ends")
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the shell
        status = _run(argv, mount.directory)
    finally:
        teardown.end_terminal(store, terminal.id, teardown.ON_REQUEST)
    output.result({"project": project, "exit": status}, f"locked {project}", as_json)
    return status


def _mounted(store: Store, project: str) -> str:
    """Where the project is mounted already; "" if it is not, or not as it should be."""
    mount = store.read().mounts.get(project)
    return mount.directory if mount and condition.of(mount) in ("watched", "not watched") else ""


def _editor() -> list[str]:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "")
    if not words:
        raise Missing("neither VISUAL nor EDITOR is set", "export VISUAL=vim, or leave out --editor")
    return words


def _run(argv: list[str], directory: str) -> int:
    try:
        status = children.call(argv, ending=signal.SIGHUP, cwd=directory)
    except OSError as error:
        raise Missing(f"{argv[0]} cannot be started: {error.strerror}") from error
    return status if status >= 0 else 128 - status
