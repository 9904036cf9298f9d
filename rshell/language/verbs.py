"""The table of commands."""

from __future__ import annotations

from gateway.base.records import Record


class Verb(Record):
    """`takes_project`: one project name must follow, and then `takes_value` if that is not empty. `takes_command`: then
    `--` and the words of a program. `transfers`: speaks a protocol on stdin and stdout, and checks its own words; not
    for the prompt. `begins`: what it starts or changes outlives it, so it waits while the gateway is paused, or has no
    room to record the end of it. `module` is the one in rshell.commands that carries it out.
    """

    name: str
    summary: str
    takes_project: bool = False
    takes_value: str = ""
    takes_command: bool = False
    flags: tuple[str, ...] = ()
    transfers: bool = False
    begins: bool = False
    home: str = ""

    @property
    def module(self) -> str:
        return self.home or self.name

    @property
    def usage(self) -> str:
        flags = [f"[{flag} T]" if flag == TIME else f"[{flag}]" for flag in self.flags]
        return " ".join([self.name, *self.takes, *flags, *(("-- CMD ARG...",) if self.takes_command else ())])

    @property
    def takes(self) -> tuple[str, ...]:
        """The words that must follow, as the usage names them."""
        return tuple(word for word in ("PROJECT" if self.takes_project else "", self.takes_value) if word)


TIME = "--time"
"""The one option that has a value."""


VERBS = {
    verb.name: verb
    for verb in (
        Verb(name="help", summary="what there is; `help COMMAND` for one of them", flags=("--json",)),
        Verb(name="whoami", summary="who the gateway takes you for, and your live sessions", flags=("--json",)),
        Verb(name="new", summary="create a project", takes_project=True, flags=("--allow-weak", "--json"), begins=True),
        Verb(name="ls", summary="your projects: locked or unlocked, size on disk, last used", flags=("--json",)),
        Verb(
            name="mount",
            summary="unlock a project and hold it until closed",
            takes_project=True,
            flags=("--json",),
            begins=True,
        ),
        Verb(name="session", summary="hold a session open, to mount projects into", flags=("--json",), begins=True),
        Verb(name="status", summary="your sessions and what they have unlocked", flags=("--json",)),
        Verb(name="unmount", summary="lock a project", takes_project=True, flags=("--json",)),
        Verb(name="logout", summary="lock everything in your session and end it", flags=("--all", "--json")),
        Verb(
            name="idle",
            summary="after how long without use a project is locked",
            takes_project=True,
            takes_value="SECONDS",
            flags=("--json",),
            begins=True,
        ),
        Verb(
            name="rm",
            summary="remove a project (to the trash)",
            takes_project=True,
            flags=("--yes", "--json"),
            begins=True,
        ),
        Verb(
            name="run",
            summary="run a program in a project",
            takes_project=True,
            takes_command=True,
            flags=("--net", TIME),
        ),
        Verb(name="shell", summary="a shell in a project", takes_project=True, flags=("--net", TIME)),
        Verb(
            name="fsck",
            summary="check every file of a locked project",
            takes_project=True,
            flags=("--json",),
            begins=True,
        ),
        Verb(name="sftp", summary="transfer files: what `sftp` and `sshfs` ask for", transfers=True),
        Verb(name="scp", summary="transfer files: what `scp` asks for", transfers=True),
        Verb(name="rsync", summary="transfer files: what `rsync` asks for", transfers=True),
        Verb(name="git-upload-pack", summary="what `git fetch` and `git clone` ask for", transfers=True, home="git"),
        Verb(name="git-receive-pack", summary="what `git push` asks for", transfers=True, home="git"),
        Verb(name="git-upload-archive", summary="what `git archive --remote` asks for", transfers=True, home="git"),
    )
}
