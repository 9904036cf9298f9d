"""The table of commands."""

from __future__ import annotations

from gateway.base.records import Record


class Verb(Record):
    """One command: what it takes, and what kind it is.

    takes_project    the name of a project must follow
    takes_value      then one more word follows, called this in the usage ("": none)
    value_is_optional  that word may be left out
    forms            the words that may follow instead, one of these: PROJECT, in capitals any other value, in small
                     letters themselves (which of them was written is the command's action)
    takes_command    then `--` and the words of a program must follow
    is_transfer      it speaks a protocol on stdin and stdout and checks its own words; it does not work at the prompt
    needs_admission  what it starts or changes outlives it: it is refused while the gateway is paused, and while the
                     audit log has no space to record its end
    always_passes    it ends sessions or shows them: no limit on requests and no full disk stops it
    for_members      it may name a project of somebody else's, OWNER/PROJECT, that is shared with the caller
    implemented_by   the module of rshell.commands that carries it out ("": the one with its name)
    """

    name: str
    summary: str
    takes_project: bool = False
    takes_value: str = ""
    value_is_optional: bool = False
    forms: tuple[str, ...] = ()
    takes_command: bool = False
    flags: tuple[str, ...] = ()
    is_transfer: bool = False
    needs_admission: bool = False
    always_passes: bool = False
    for_members: bool = False
    implemented_by: str = ""

    @property
    def module(self) -> str:
        return self.implemented_by or self.name

    @property
    def usage(self) -> str:
        flags = [f"[{flag} {VALUES[flag]}]" if flag in VALUES else f"[{flag}]" for flag in self.flags]
        takes = (*self.takes[:-1], f"[{self.takes_value}]") if self.value_is_optional else self.takes
        takes = (" | ".join(self.forms),) if self.forms else takes
        return " ".join([self.name, *takes, *flags, *(("-- CMD ARG...",) if self.takes_command else ())])

    @property
    def takes(self) -> tuple[str, ...]:
        """The words that follow, as the usage names them."""
        return tuple(word for word in ("PROJECT" if self.takes_project else "", self.takes_value) if word)


TIME = "--time"
DIRECTORY = "--directory"
DAYS = "--days"
VALUES = {TIME: "T", DIRECTORY: "DIR", DAYS: "N"}
"""The options that take a value, and what the usage calls it."""


VERBS = {
    verb.name: verb
    for verb in (
        Verb(name="help", summary="list the commands, or explain one: help COMMAND", flags=("--json",)),
        Verb(name="whoami", summary="show your name, your key and your live sessions", flags=("--json",)),
        Verb(
            name="new",
            summary="create an encrypted project",
            takes_project=True,
            flags=("--key", "--recovery", "--no-recovery", "--allow-weak", "--json"),
            needs_admission=True,
        ),
        Verb(name="ls", summary="list your projects: locked or unlocked, size, last use", flags=("--json",)),
        Verb(
            name="mount",
            for_members=True,
            summary="unlock a project",
            takes_project=True,
            flags=("--json",),
            needs_admission=True,
        ),
        Verb(
            name="session",
            summary="open a session that `mount` can unlock projects in",
            flags=("--json",),
            needs_admission=True,
        ),
        Verb(
            name="status",
            summary="show your sessions, what they unlocked and when it locks",
            flags=("--json",),
            always_passes=True,
        ),
        Verb(
            name="unmount",
            for_members=True,
            summary="lock a project; while another machine has it too, only for yourself",
            takes_project=True,
            flags=("--all", "--json"),
            always_passes=True,
        ),
        Verb(
            name="logout",
            summary="lock everything in your session and end it",
            flags=("--all", "--json"),
            always_passes=True,
        ),
        Verb(
            name="idle",
            summary="show or set after how many idle seconds a project is locked",
            takes_project=True,
            takes_value="SECONDS",
            value_is_optional=True,
            flags=("--json",),
            needs_admission=True,
        ),
        Verb(
            name="touch",
            for_members=True,
            summary="count as use of an unlocked project",
            takes_project=True,
            flags=("--json",),
        ),
        Verb(
            name="passwd",
            for_members=True,
            summary="change the passphrase of a project",
            takes_project=True,
            flags=("--allow-weak", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="slots",
            for_members=True,
            summary="list the ways to unlock a project",
            takes_project=True,
            flags=("--json",),
        ),
        Verb(
            name="slot",
            for_members=True,
            summary="add a way to unlock a project (key, recovery, passphrase), or remove one",
            forms=("add PROJECT KIND", "rm PROJECT SLOT"),
            flags=("--allow-weak", "--no-recovery", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="challenge",
            for_members=True,
            summary="print what an SSH key signs to unlock a project",
            forms=("PROJECT", "PROJECT SLOT"),
            flags=("--new", "--rekey", "--json"),
        ),
        Verb(
            name="recover",
            for_members=True,
            summary="set a new passphrase (or key) with a recovery code",
            forms=("PROJECT", "PROJECT KIND"),
            flags=("--allow-weak", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="share",
            for_members=True,
            summary="invite somebody to a project, or list its members",
            forms=("PROJECT", "PROJECT WHO"),
            flags=("--read", DAYS, "--json"),
            needs_admission=True,
        ),
        Verb(
            name="accept",
            for_members=True,
            summary="join a project with an invitation's code",
            forms=("PROJECT", "PROJECT KIND"),
            flags=("--allow-weak", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="unshare",
            summary="end somebody's access to a project",
            forms=("PROJECT WHO",),
            flags=("--json",),
            always_passes=True,
        ),
        Verb(
            name="leave",
            for_members=True,
            summary="give up a project that is shared with you",
            takes_project=True,
            flags=("--json",),
            always_passes=True,
        ),
        Verb(
            name="rekey",
            summary="give a locked project a new key, which nobody had before",
            takes_project=True,
            flags=("--discard", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="mv",
            summary="rename a locked project",
            forms=("PROJECT NEW",),
            flags=("--json",),
            needs_admission=True,
        ),
        Verb(
            name="trash",
            summary="list removed projects, bring one back, or delete it for good",
            forms=("", "restore PROJECT", "empty PROJECT"),
            flags=("--yes", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="rm",
            summary="move a project to the trash",
            takes_project=True,
            flags=("--yes", "--json"),
            needs_admission=True,
        ),
        Verb(
            name="run",
            for_members=True,
            summary="run a program in an unlocked project",
            takes_project=True,
            takes_command=True,
            flags=("--net", TIME, DIRECTORY),
        ),
        Verb(
            name="shell",
            for_members=True,
            summary="open a shell in an unlocked project",
            takes_project=True,
            flags=("--net", TIME, DIRECTORY),
        ),
        Verb(
            name="workspace",
            for_members=True,
            summary="serve SSH inside an unlocked project, for editors (print its host key, or let KEY in)",
            forms=("PROJECT", "PROJECT KEY"),
            flags=("--home", "--json"),
        ),
        Verb(
            name="fsck",
            summary="check a locked project for damage",
            takes_project=True,
            flags=("--json",),
            needs_admission=True,
        ),
        Verb(name="sftp", summary="the gateway's side of `sftp` and `sshfs`", is_transfer=True),
        Verb(name="scp", summary="the gateway's side of `scp -O`", is_transfer=True),
        Verb(name="rsync", summary="the gateway's side of `rsync`", is_transfer=True),
        Verb(
            name="git-upload-pack",
            summary="the gateway's side of `git clone` and `git fetch`",
            is_transfer=True,
            implemented_by="git",
        ),
        Verb(
            name="git-receive-pack",
            summary="the gateway's side of `git push`",
            is_transfer=True,
            implemented_by="git",
        ),
        Verb(
            name="git-upload-archive",
            summary="the gateway's side of `git archive --remote`",
            is_transfer=True,
            implemented_by="git",
        ),
    )
}
TYPED = frozenset(name for name, verb in VERBS.items() if not verb.is_transfer)
"""The commands that people type."""
