"""The gateway's side of `git fetch`, `git push` and `git archive --remote`.

A repository's configuration and hooks name programs, and git runs them. So git runs in the sandbox of `run`; where
`run.commands` does not allow every program, it also runs without hooks. The check of the path is for a clear message:
the sandbox is what confines git.
"""

from __future__ import annotations

from gateway.config.schema import ANY
from gateway.errors import NotUnlocked, Usage
from gateway.identity.names import Named
from gateway.sandbox.paths import PROJECTS
from rshell.context import Context
from rshell.language.command import Command
from rshell.session import execution, transfer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.names import Principal

GIT = "/usr/bin/git"
_SERVICES = {
    "git-upload-pack": ("upload-pack",),
    "git-receive-pack": ("receive-pack",),
    "git-upload-archive": ("upload-archive",),
}
_NO_PROGRAMS = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.alternateRefsCommand=true"),
    *("receive.denyCurrentBranch=refuse", "receive.autogc=false"),
)
"""These override the repository's configuration, so that git starts no program that it names: no hook, no file system
monitor, no gc, and no filter of a working tree that a push would update.
"""
_NO_FETCH = ("/usr/bin/env", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none")
"""Nor may a partial clone fetch missing objects from a remote, whose transport is a program."""
_GIT_WITHOUT_PROGRAMS = (*_NO_FETCH, GIT, *(word for one in _NO_PROGRAMS for word in ("-c", one)))


def run(context: Context, command: Command) -> int:
    """Serve one repository of an unlocked project."""
    project, path = check(context, command)
    any_program = ANY in context.config.run_commands
    wanted = execution.Wanted(
        project=project,
        label=command.verb.name,
        arguments=(*((GIT,) if any_program else _GIT_WITHOUT_PROGRAMS), *_SERVICES[command.verb.name], path),
        directory=execution.directory(project),
    )
    return execution.run(context, wanted)


def check(context: Context, command: Command) -> tuple[Named, str]:
    """The project and the repository's path. Raises Usage, NotUnlocked, NoSuchProject."""
    words = command.words[1:]
    if len(words) != 1 or words[0].startswith("-"):
        raise Usage(
            f"{command.verb.name} is started by the git of your own machine",
            "run there: git clone gateway:PROJECT/REPO",
        )
    project, path = repository(words[0], context.sharers())
    session = context.require_session(project)
    if command.verb.name == "git-receive-pack":
        transfer.require_writer(context, session, project)
    return project, path


def repository(word: str, sharers: Mapping[str, Principal]) -> tuple[Named, str]:
    """The project of a repository's path, and the path for git. Raises Usage, NotUnlocked.

    Clients send the path of the URL: `p/r.git`, `/p/r.git`, `~/p/r.git`, or `/projects/p/r.git`.
    """
    path = word.removeprefix(PROJECTS).removeprefix("~").lstrip("/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Usage("the path of a repository may not contain `..`", "write gateway:PROJECT/REPOSITORY")
    project = transfer.project_of("/".join(parts), sharers)
    if project is None:
        raise NotUnlocked("that path names no project", "write gateway:PROJECT/REPOSITORY")
    return project, "/".join((PROJECTS, *parts))
