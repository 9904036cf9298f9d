"""List the commands, or explain one."""

from __future__ import annotations

from gateway.base import text
from rshell.context import Context
from rshell.language.command import Command
from rshell.language.verbs import VERBS, Verb
from rshell.terminal import output

_PAGES = {
    "new": """
It asks twice for a passphrase (use ssh -t), or reads one line from standard
input. The passphrase encrypts every file and every file name (gocryptfs,
AES-256-GCM). Nobody can recover it. --allow-weak accepts one that is shorter
than the gateway's minimum. When the project is created, unlock it with `mount`.
""",
    "ls": """
SIZE is the encrypted size on disk. "or more": there was no time to count all.
""",
    "mount": """
It asks for the passphrase (use ssh -t), or reads it from standard input.
The project stays unlocked until this command ends. To lock it, press Ctrl-C,
run `unmount` elsewhere, or close the connection. It is also locked when it is
idle for too long; `status` shows when.
At the prompt, or on a connection that has a `session`, the project is unlocked
in that session and this command returns. --json prints one event per line.
A project that is unlocked on another of your machines is open on both then; it
is locked when the last of them has left.
""",
    "session": """
The session stays open until this command ends. Meanwhile `mount` on the same
connection (ControlMaster) unlocks projects in it. To end it, press Ctrl-C, run
`logout` elsewhere, or close the connection. It also ends when it is idle for
too long. At its end everything in it is locked. --json prints one event per
line.
""",
    "status": """
For each session and each unlocked project it shows the last activity, how long
ago that was, and when the session ends or the project is locked if there is no
other activity. `status` itself is no activity.
""",
    "unmount": """
It stops the programs that use the project, unmounts it, and returns when the
project is locked. While another of your machines has it too, it stays unlocked
there: this machine leaves it. --all locks it for all.
""",
    "logout": """
It returns when everything is locked. What another of your machines has as well
stays unlocked there. --all ends all your sessions, on every connection.
""",
    "idle": """
Without SECONDS it shows the limit. The limit is for this project only, and at
most the gateway's. It applies at once, also while the project is unlocked.
""",
    "touch": """
It postpones the lock of the project as reading a file in it would.
""",
    "rm": """
It asks you to type the project's name; --yes skips the question. It refuses an
unlocked project: lock it first. Your sysadmin can restore a project from the
trash for some time.
""",
    "run": """
It starts CMD in the project's directory and ends with its exit status. With
ssh -t, CMD has a terminal. It runs in a sandbox: it can write to your unlocked
projects and, in memory until it ends, to /tmp, /run, /dev/shm and $HOME.
--time T stops it after T (300, 5m, 2h); the exit status is then 124.
--directory DIR starts it in that directory of the project.
--net gives it network access, if your sysadmin allows that.
Shell syntax needs a shell, and quotes:
    ssh gateway "run PROJECT -- sh -c 'make && ./test'"
""",
    "shell": """
It opens bash in the project's directory, in the same sandbox as `run`, with the
same options. Use ssh -t; without a terminal, bash reads commands from standard
input.
""",
    "fsck": """
It asks for the passphrase, reads every name and block (gocryptfs -fsck), and
names the damaged files. What has lost its long name gets a new one, recovered-1.
It changes nothing else, and the project stays locked.
""",
    "sftp": """
Unlock the project first. Then run on your machine:
    sftp gateway
    sshfs gateway:PROJECT DIR
""",
    "scp": """
Unlock the project first. Then run on your machine:
    scp -r DIR gateway:PROJECT/
""",
    "rsync": """
Unlock the project first. Then run on your machine:
    rsync -a DIR/ gateway:PROJECT/
""",
    "git-upload-pack": """
Unlock the project first. Then run on your machine:
    git clone gateway:PROJECT           (if PROJECT has a .git)
    git clone gateway:PROJECT/repo.git
To create a repository:
    ssh gateway run PROJECT -- git init --bare repo.git
""",
    "git-receive-pack": """
Unlock the project first. Then run on your machine:
    git push gateway:PROJECT/repo.git
""",
    "git-upload-archive": """
Unlock the project first. Then run on your machine:
    git archive --remote=gateway:PROJECT/repo.git HEAD
""",
}


def run(_context: Context, command: Command) -> int:
    """Print the list of commands, or the page of one."""
    if command.topic and not command.wants_json:
        return explain(VERBS[command.topic])
    verbs = [VERBS[command.topic]] if command.topic else list(VERBS.values())
    rows = [(verb.usage, verb.summary) for verb in verbs]
    fields = {"commands": [{"usage": usage, "summary": summary} for usage, summary in rows]}
    output.result(fields, text.columns(rows), command.wants_json)
    return 0


def explain(verb: Verb) -> int:
    """Print the page of one command."""
    output.write(1, f"usage: {verb.usage}\n{verb.summary}\n" + _PAGES.get(verb.name, ""))
    return 0
