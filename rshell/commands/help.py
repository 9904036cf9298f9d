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
--recovery also makes a recovery code, which is shown once. With --key an SSH key
unlocks the project, and no passphrase: `help slot` says what it reads then. A
lost key is a lost project, so that needs --recovery, or --no-recovery.
""",
    "ls": """
SIZE is the encrypted size on disk. "or more": there was no time to count all.
""",
    "mount": """
It asks for the passphrase (use ssh -t), or reads it from standard input. An SSH
signature of the project's challenge is taken in its place (`help challenge`).
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
It starts the project's idle time again from zero, as reading a file in it
would.
""",
    "passwd": """
It asks for the passphrase (use ssh -t), or reads it from standard input, then
for the new one. An SSH signature or a recovery code is taken in place of the
old one. The project may be unlocked. The old passphrase opens nothing
afterwards, but copies from before, as in backups.
""",
    "slots": """
A slot is one way to unlock the project. LAST USED is when what it unlocked was
locked, or when it joined what another had unlocked.
""",
    "slot": """
It asks for the passphrase, or takes a signature or a recovery code. Then:
slot add PROJECT recovery prints a recovery code, once.
slot add PROJECT passphrase asks for another passphrase.
slot add PROJECT key reads a challenge and two signatures of it. The key is an
Ed25519 key, from a file or an agent. With stock tools:
    ssh gateway challenge PROJECT --new >c
    sign() { ssh-keygen -Y sign -q -n unlock@REALM -f KEY_FILE <c; }
    (echo "$passphrase"; cat c; sign; sign) | ssh gateway slot add PROJECT key
REALM is in the challenge. slot rm PROJECT SLOT is told another way to unlock
than the one that goes. The last way is not removed.
""",
    "challenge": """
With stock tools, an SSH key unlocks a project like this (REALM is in the text):
    ssh gateway challenge PROJECT |
        ssh-keygen -Y sign -q -n unlock@REALM -f KEY_FILE |
        ssh gateway mount PROJECT
It is for the key of this login if that is a way to unlock the project, else for
SLOT. --new prints one for a key that is to be added, or for `new --key`, and
--rekey one for `rekey`. --json prints all, with their keys. The client enc does
all of this by itself.
""",
    "recover": """
It asks for the recovery code, then for a new passphrase (KIND passphrase, which
is usual), or reads what `slot add PROJECT key` reads (KIND key). The code stays
valid. A mistyped code is told from a wrong one.
""",
    "rekey": """
It asks for the passphrase, or takes a signature or a recovery code; the project
has to be locked. A new vault with a new key is filled, compared file by file, and
takes the place of the old one, which goes to the trash. What opened it opens the
new one too; other ways of yours have to be added again. A recovery code, if there
was one, and an invitation for each other member are made new and shown once.
If it is interrupted, the same command continues; nothing has changed before the
end. --discard removes what an interrupted one has left. Who kept the old key and
a copy of the old files, as in a backup or in the trash, still reads that copy.
With an SSH key it reads, after the signature, a new challenge and two signatures
of it, as `slot add PROJECT key` does: `challenge PROJECT --rekey` prints it.
""",
    "share": """
Without WHO it lists the members. Else it asks for your passphrase, or takes a
signature or a recovery code, and prints a code that invites WHO (`whoami` tells
each user their name). Give the code to WHO alone: with `accept` it makes a way to
unlock of their own, once, within 7 days or --days N. WHO may read and write, with
--read only read. Sharing again replaces an invitation that was not accepted.
    share PROJECT bob --read
A shared project has a session of its own. Members who mount it at the same time
work in one view; it is locked when the last of them has left.
""",
    "accept": """
PROJECT is OWNER/NAME, as `ls` shows it. With KIND key (which is usual) it reads
the code, then what `slot add PROJECT key` reads: `help slot`. KIND passphrase asks
for the code and a new passphrase of your own. The code opens nothing afterwards.
    accept alice/plan passphrase
From then on alice/plan is its name in every command: mount alice/plan.
""",
    "unshare": """
It removes all ways to unlock that WHO has, ends what they have unlocked and their
programs, and says since when they had access. An invitation that was not accepted
is withdrawn. What they copied they still have, and who noted the project's key
can open a copy of the disk: `rekey` makes a new key.
    unshare PROJECT bob
""",
    "leave": """
It removes your ways to unlock the project and ends what you have unlocked. An
invitation is turned down. The owner can invite you again.
    leave alice/plan
""",
    "mv": """
The project has to be locked. Its ways to unlock stay as they are.
""",
    "trash": """
It lists what you removed. `trash restore` gives the latest of that name its
name back, `trash empty` deletes all of that name for good. After some days
your sysadmin's settings do that.
""",
    "rm": """
It asks you to type the project's name; --yes skips the question. It refuses an
unlocked project: lock it first. `trash restore` brings it back for some time.
""",
    "run": """
It starts CMD in the project's directory and ends with its exit status. With
ssh -t, CMD has a terminal. It runs in a sandbox: it can write to your unlocked
projects and, in memory until it ends, to /tmp, /run, /dev/shm and $HOME.
--time T stops it after T (300, 5m, 2h); the exit status is then 124.
--directory DIR starts it in that directory of the project.
--net gives it network access, if your sysadmin allows that: to everything, or
by a proxy to certain names.
Shell syntax needs a shell, and quotes:
    ssh gateway "run PROJECT -- sh -c 'make && ./test'"
""",
    "shell": """
It opens bash in the project's directory, in the same sandbox as `run`, with the
same options. Use ssh -t; without a terminal, bash reads commands from standard
input.
""",
    "fsck": """
It asks for the passphrase, or takes a signature, reads every name and block
(gocryptfs -fsck), and names the damaged files. What has lost its long name gets
a new one, recovered-1. It changes nothing else, and the project stays locked.
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
