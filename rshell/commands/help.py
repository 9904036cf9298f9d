"""What there is, and how each command is used."""

from __future__ import annotations

from gateway.base import text
from rshell.context import Context
from rshell.language.command import Command
from rshell.language.verbs import VERBS, Verb
from rshell.terminal import output

_MORE = {
    "new": "Asks twice for a passphrase at a terminal (ssh -t), or reads one line from standard input.\n"
    "Every file and name of the project is encrypted with it (gocryptfs, AES-256-GCM).",
    "mount": "Asks for the passphrase (ssh -t), or reads it from standard input, and holds the project unlocked until\n"
    "the channel closes: Ctrl-C, `unmount` from elsewhere, or a lost connection. On a connection that has a\n"
    "session, it unlocks into that one and returns. With --json it prints one event a line.",
    "session": "Holds a session open until the channel closes. `mount` on the same connection (ControlMaster) unlocks\n"
    "projects in it.",
    "unmount": "Stops what uses the project, unmounts it, and returns when nothing of it is left.",
    "status": "Shows what the last activity was, how long ago, and when the project or session locks for want of use.\n"
    "Asking is itself no activity.",
    "idle": "A limit of the project's own, at most the gateway's. It counts from the next `mount` on.",
    "logout": "With --all, every session of yours. Returns when nothing is unlocked any more.",
    "run": "Runs it in the project's directory, in a sandbox that can write to your unlocked projects and, as long as\n"
    "it runs, to /tmp, /run, /dev/shm and $HOME in memory. With ssh -t it has a terminal. --time T stops it after T\n"
    "seconds (5m, 2h), exit status 124; else the status is the program's own. --net gives it network where the\n"
    "sysadmin allows that. Shell syntax needs a shell, and quotes: ssh gateway \"run P -- sh -c 'make && ./test'\".",
    "shell": "As `run`, with bash. Use ssh -t.",
    "git-upload-pack": "git clone gateway:PROJECT/repo.git. Unlocked projects only. A new repository:\n"
    "ssh gateway run PROJECT -- git init --bare repo.git",
    "git-receive-pack": "git push gateway:PROJECT/repo.git. Unlocked projects only.",
    "git-upload-archive": "git archive --remote=gateway:PROJECT/repo.git HEAD. Unlocked projects only.",
    "fsck": "Asks for the passphrase, reads every name and block (gocryptfs -fsck), and names what is damaged.\n"
    "Nothing is changed, and the project stays locked.",
    "rm": "Asks for the name again, or takes --yes. An unlocked project is not removed.",
    "sftp": "sftp gateway, sshfs gateway:PROJECT DIR. Unlocked projects only.",
    "scp": "scp -r DIR gateway:PROJECT/. Unlocked projects only.",
    "rsync": "rsync -a DIR/ gateway:PROJECT/. Unlocked projects only.",
}


def run(_context: Context, command: Command) -> int:
    """Print the list, or the page of one command."""
    if command.topic and not command.wants_json:
        return explain(VERBS[command.topic])
    verbs = [VERBS[command.topic]] if command.topic else list(VERBS.values())
    rows = [(verb.usage, verb.summary) for verb in verbs]
    fields = {"commands": [{"usage": usage, "summary": summary} for usage, summary in rows]}
    output.result(fields, text.columns(rows), command.wants_json)
    return 0


def explain(verb: Verb) -> int:
    """Print the page of one command."""
    more = _MORE.get(verb.name, "")
    output.write(1, f"usage: {verb.usage}\n{verb.summary}\n" + (more + "\n" if more else ""))
    return 0
