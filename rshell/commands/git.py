"""The remote side of `git fetch`, `git push` and `git archive --remote`.

A repository's own configuration and hooks can name programs, and git runs them. So git runs where `run` runs what a
user chooses, and without the hooks where the sysadmin does not let users choose; the check of the path gives a clear
answer, and is no wall.
"""

from __future__ import annotations

from gateway.config.schema import ANY
from gateway.errors import NotUnlocked, Usage
from gateway.identity.names import ProjectName
from gateway.sandbox.paths import PROJECTS
from gateway.session import registry
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import execution, transfer

GIT = "/usr/bin/git"
_SERVICES = {
    "git-upload-pack": ("upload-pack", "--strict"),
    "git-receive-pack": ("receive-pack",),
    "git-upload-archive": ("upload-archive",),
}
_QUIET = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.alternateRefsCommand=true"),
    *("receive.denyCurrentBranch=refuse", "receive.autogc=false"),
)
"""Over a repository's own configuration: no program of its choice is started by a hook, by a file system monitor, by
filters of a working tree that a push would update, or by a gc.
"""
_NOTHING_FETCHED = ("/usr/bin/env", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none")
"""Nor by a remote, from which a partial clone would fetch what is missing."""
_QUIETLY = (*_NOTHING_FETCHED, GIT, *(word for one in _QUIET for word in ("-c", one)))


def run(context: Context, command: Command) -> int:
    """Serve one repository of an unlocked project."""
    project, path = foresee(context, command)
    free = ANY in context.config.run_commands
    wanted = execution.Wanted(
        project=project,
        label=command.verb.name,
        arguments=(*((GIT,) if free else _QUIETLY), *_SERVICES[command.verb.name], path),
        directory=execution.directory(project),
    )
    return execution.run(context, wanted)


def foresee(context: Context, command: Command) -> tuple[ProjectName, str]:
    """What `repository` says of the path. Raises Usage, NotUnlocked, NoSuchProject."""
    words = command.words[1:]
    if len(words) != 1 or words[0].startswith("-"):
        raise Usage("git is for fetching from and pushing to here", "run it on your own machine: git clone gateway:P")
    project, path = repository(words[0])
    registry.with_project(context.live(), context.vault(project).name)
    return project, path


def repository(word: str) -> tuple[ProjectName, str]:
    """The project that a repository's path lies in, and the path as git is to get it. Raises Usage, NotUnlocked.

    Clients send what stands in the URL: `p/r.git`, `/p/r.git`, `~/p/r.git`, or the whole path here.
    """
    path = word.removeprefix(PROJECTS).removeprefix("~").lstrip("/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Usage("the path of a repository may not have a `..` in it", "write gateway:PROJECT/REPOSITORY")
    project = transfer.project_of("/".join(parts))
    if project is None:
        raise NotUnlocked("that path names no project", "write gateway:PROJECT/REPOSITORY")
    return project, "/".join((PROJECTS, *parts))
