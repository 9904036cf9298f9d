"""What a warden is told at its start, as it crosses the exec."""

from __future__ import annotations

import os
import stat

from gateway.base import codec
from gateway.base.records import Fd, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.identity.authentication import Identity
    from gateway.identity.names import Principal, SessionId
    from gateway.session.protocol import Unlock


STARTER = "starter"
"""An anchor that starts a session for somebody who then joins it, and leaves. Nobody hears of it."""
READY = b"1"
"""What Anchor.ready gets from a session that has opened."""


class Channel(Record):
    """The SSH channel that a session begins with: copies of its standard descriptors. `leave` is where its exit status
    is written to, with a newline, and closed when nothing of it goes on (gateway.session.launch); None for a prompt,
    which ends by itself.
    """

    stdin: Fd
    stdout: Fd
    stderr: Fd
    leave: Fd | None = None


def tells_of_hangup(fd: int, is_output: bool) -> bool:
    """Whether poll(2) on a channel's `fd` tells the end of the channel. The end of a pipe that we read from is none."""
    if os.isatty(fd):
        return True
    mode = os.fstat(fd).st_mode
    return is_output and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


class Anchor(Record):
    """What the session begins with: the part that the command decides. `name` is its verb.

    `request` and `began` (boottime, seconds) belong to the request that the session answers. `first` is the view that
    it begins with, if any. Whoever holds the other end of `hangup` holds the session by that; `ready` gets READY once
    the session can be reached, or else the reason as protocol.Failed, and is closed. `channel` is added when it starts.
    """

    name: str
    as_json: bool
    request: str
    began: float
    first: Unlock | None = None
    hangup: Fd | None = None
    ready: Fd | None = None
    channel: Channel | None = None


class Home(Record):
    """Whose projects a session has: `vaults` is the directory of the `owner`'s. `role` is that of the caller who begins
    it; `shared` as in gateway.session.registry.Session.
    """

    owner: Principal
    role: str
    shared: bool
    vaults: str


class IdleLimits(Record):
    """Limits in seconds (gateway.warden.activity): of the session, of a view, of a view whose project asks for another
    one at most, and how long before the end a warning comes.
    """

    session: int
    view: int
    view_longest: int
    warning: int

    def allowed(self, limit: int) -> int:
        """A view's limit that a user set, in seconds, and at most what the gateway allows."""
        return min(limit, max(self.view, self.view_longest))


class Audit(Record):
    """Where to record: the file's name in its directory, and the system's log."""

    name: str
    syslog: str


class Quota(Record):
    """`disk`: MiB that all projects of the principal may take; `ledger` says what is taken of that
    (gateway.limits.disk.ledger).
    """

    disk: int
    ledger: Fd


class HeldPath(Record):
    """A file or link that had this `path` on the host when `fd` was opened on it: O_PATH, to tell where it is."""

    path: str
    fd: Fd


class KeyFile(Record):
    """authorized_keys: its path `name` in the `directory` of the host that the sandbox shows, and the links outside
    that lead to it (gateway.identity.key_location). `in_directory` is a file that moves with the directory; None for a
    directory of the system, which stays.
    """

    directory: str
    name: str
    in_directory: HeldPath | None = None
    links: tuple[HeldPath, ...] = ()


class Cluster(Record):
    """Of a host that shares its vaults with others: its name, and how old (seconds) its copy of authorized_keys may be
    (gateway.cluster).
    """

    host: str
    stale: int


class Spec(Record):
    """All that a warden is told.

    `place` is the session's (gateway.limits.concurrency), `lock` what shows that it lives (gateway.session.liveness),
    `status` bubblewrap's --json-status-fd, `watchdog` a connection to gateway.session.watchdog, and `monitor` a pidfd
    of sshd's monitor of the connection. `grace` are the seconds between SIGTERM and SIGKILL. `hard_links` says whether
    the installed gocryptfs makes them correctly (gateway.vault.defects). `cluster` is None on a host that is alone.
    """

    id: SessionId
    caller: Identity
    home: Home
    anchor: Anchor
    audit: Audit
    idle: IdleLimits
    quota: Quota | None
    hard_links: bool
    grace: int
    keys: KeyFile
    place: Fd
    lock: Fd
    status: Fd
    watchdog: Fd
    monitor: Fd | None
    cluster: Cluster | None


def read_spec(fd: int) -> Spec:
    """The Spec behind `fd`, which is closed; its own descriptors are close-on-exec from here on."""
    from gateway.identity.authentication import Identity  # a front that only holds a session has no use for these
    from gateway.session.protocol import Unlock, words

    records: codec.Words = {
        **{"Identity": Identity, "Home": Home, "Anchor": Anchor, "Unlock": Unlock, "Channel": Channel},
        **{"Audit": Audit, "IdleLimits": IdleLimits, "Quota": Quota, "KeyFile": KeyFile, "HeldPath": HeldPath},
        "Cluster": Cluster,
    }
    with os.fdopen(fd, "rb") as file:
        spec = codec.loads(Spec, file.read(), {**words(), **records})
    for passed in codec.descriptors(spec):
        os.set_inheritable(passed, False)
    return spec
