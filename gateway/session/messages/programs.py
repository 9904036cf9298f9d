"""What is said of the programs that a front has a session start: transfers, executions, workspaces."""

from __future__ import annotations

from gateway.base.records import Fd, Record
from gateway.session.messages.base import Message, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.base.codec import Word
    from gateway.identity.names import ProjectName
    from gateway.sandbox.limits import Limits


class Stdio(Record):
    """A program's standard descriptors."""

    stdin: Fd
    stdout: Fd
    stderr: Fd


class Attach(Request):
    """Run `program` (one of gateway.sandbox.transfer) with `arguments` among the views. `patterns` are those of the
    last arguments, "" for one that is none, as gateway.sandbox.inside.globbing takes them. What it does counts as use
    of `project`, and `traffic` tells when data last passed, as in Execute (None: only file I/O counts).
    """

    project: ProjectName | None
    program: str
    arguments: tuple[Word, ...]
    patterns: tuple[Word, ...]
    traffic: Fd | None
    stdio: Stdio


class NewTerminal(Record):
    """A terminal to be made: its type (TERM) and size."""

    type: Word
    rows: int
    columns: int


class Cgroup(Record):
    """`cgroup.procs` of a program's cgroup and of its session's: what is written to enter the one and to leave it again
    (gateway.sandbox.cgroups).
    """

    enter: Fd
    leave: Fd


class Confined(Request):
    """For a program that is the user's own, among the views. It may read `paths` beside /usr, is under the system call
    `filter`, and has the network namespace `network`, or none.
    """

    project: ProjectName
    paths: tuple[Word, ...]
    limits: Limits
    filter: Fd
    network: Fd | None
    cgroup: Cgroup | None


class Execute(Confined):
    """Run `arguments`, which the user chose, in `directory`; `label` is what `status` calls it.

    It is stopped after `seconds`, 0 for never. `traffic` tells when data last passed between it and the user
    (gateway.session.traffic). Either it gets a new `terminal`, or it has `stdio`. The answers are `Terminal`, if there
    is one, and `Exited`.
    """

    label: str
    arguments: tuple[Word, ...]
    directory: Word
    seconds: int
    traffic: Fd
    terminal: NewTerminal | None
    stdio: Stdio | None


class Enter(Confined):
    """Make the channel `stdio` one of an sshd in the caller's workspace. If there is none, one begins; with `home`, it
    has its home in the project. The public key `key` opens the channel. The answer is `Exited`; without `key` and
    `stdio` it is `HostKey`.
    """

    key: str
    home: bool
    stdio: Stdio | None


class HostKey(Message):
    """The public key by which the sshd of a workspace is known, as in authorized_keys."""

    key: str
