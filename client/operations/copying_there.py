"""Copying inside a project, on the gateway: no byte of a file goes over the line."""

from __future__ import annotations

import shlex

from client.connection import remote_command, ssh, ssh_errors
from client.errors import FromGateway, Usage
from client.operations import complaints, copying, holding, project_path
from client.operations.rsync import CopyFailed
from client.state.config import Profile

_CP = "cp"


def paths_of(words: tuple[str, ...]) -> tuple[str, list[str]]:
    """The project that all of `words` name, and their paths, of which the last is where the others go. Raises Usage,
    which says what copies if not this.
    """
    if len(words) < 2:
        raise Usage("cp needs what to copy, and where to", "enc cp PROJECT:FROM PROJECT:TO")
    inside = [project_path.is_one(word) for word in words]
    *sources, target = words
    if not any(inside):
        raise Usage("cp copies inside a project, and no word names one", "enc cp PROJECT:FROM PROJECT:TO")
    if not inside[-1]:
        hint = f"`{shlex.join(['enc', 'pull', sources[0], target])}` copies to this machine"
        raise Usage(f"{target} is not in a project: write it with PROJECT: before", hint)
    if not all(inside):
        here = words[inside.index(False)]
        hint = f"`{shlex.join(['enc', 'push', here, target])}` copies from this machine"
        raise Usage(f"{here} is not in a project: write it with PROJECT: before", hint)
    places = [project_path.parse(word) for word in words]
    if len({place.project for place in places}) > 1:
        hint = f"`enc pull {shlex.quote(sources[0])} DIR`, then `enc push DIR {shlex.quote(target)}`"
        raise Usage("cp copies inside one project, and these are several", hint)
    ends = ("/" if word.endswith("/") else "" for word in words)
    return places[0].project, [f"{place.path or '.'}{end}" for place, end in zip(places, ends, strict=True)]


def copy(profile: Profile, project: str, paths: list[str], recursive: bool) -> None:
    """Copy as cp(1) does, with modes and times. Raises CopyFailed, and what prevents it."""
    words = ["run", project, "--", _CP, "-a" if recursive else "-p", "--", *paths]
    with holding.unlocked(profile, project) as held:
        copying.require_writer(held, project)
        status, text = remote_command.run_silently(held.store, words)
        if status == ssh.FAILED:
            raise ssh_errors.explain(text, profile.called)
        if status and (refused := complaints.of_gateway(text)):
            raise FromGateway(refused, "", status, "refused")
        if why := complaints.reason(_CP, text, status):
            raise CopyFailed(why)
