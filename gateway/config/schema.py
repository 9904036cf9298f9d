"""The keys of gateway.toml: name, type, default and meaning of each."""

from __future__ import annotations

from gateway.base.records import Record


class Key(Record):
    """One key: its dotted name, its default (which also gives its type), and what it means.

    A number is at least `minimum`, and at most `maximum` unless that is 0; if there are `choices`, the value is one of
    them, or with `or_targets` a list of names and ports (gateway.config.targets).
    """

    name: str
    default: str | int | tuple[str, ...]
    minimum: int = 0
    maximum: int = 0
    choices: tuple[str, ...] = ()
    or_targets: bool = False
    doc: str


KEYS = (
    Key(name="paths.vaults", default="/var/lib/enc/vaults", doc="the vaults (ciphertext) of all principals"),
    Key(name="paths.run", default="/run/enc", doc="records of live sessions; must be on a tmpfs"),
    Key(name="paths.audit", default="/var/log/enc/audit.jsonl", doc="the audit log"),
    Key(
        name="paths.authorized_keys", default="/etc/enc/authorized_keys", doc="the authorized_keys file that sshd reads"
    ),
    Key(
        name="paths.enrolments",
        default="/var/lib/enc/enrolments",
        doc="keys that were handed in with an invitation and wait for approval",
    ),
    Key(
        name="paths.pause",
        default="/etc/enc/paused",
        doc="while this file exists, nothing new starts; `enc-gateway pause` creates it",
    ),
    Key(
        name="audit.syslog", default="/dev/log", doc='syslog socket that gets a copy of every audit record; "" for none'
    ),
    Key(
        name="audit.when_full",
        default="refuse",
        choices=("refuse", "continue"),
        doc='if the audit log cannot be written: "refuse" requests, or "continue" without a record in it',
    ),
    Key(name="audit.reserve", default=4, doc="MiB of free disk space to keep for recording how sessions end"),
    Key(
        name="audit.rotate",
        default=64,
        doc="size in MiB at which `enc-gateway audit rotate --due` rotates the log; 0: never",
    ),
    Key(name="audit.keep", default=0, doc="how many rotated logs to keep; 0: all"),
    Key(
        name="audit.programs",
        default="record",
        choices=("record", "omit"),
        doc='whether the audit log has the name of the host\'s program that `run` started: "record" or "omit" it',
    ),
    Key(
        name="cluster.directory",
        default="",
        doc="directory on the shared file system with what the hosts of a cluster share; empty: this host is alone",
    ),
    Key(name="cluster.host", default="", doc="the name of this host in the cluster"),
    Key(name="cluster.address", default="", doc="NAME:PORT at which clients reach this very host"),
    Key(
        name="cluster.stale",
        default=10,
        minimum=4,
        doc="seconds without an answer of the shared file system after which nothing begins and sessions end",
    ),
    Key(name="projects.create", default=("*",), doc='principals who may create projects; "*" for all, [] for none'),
    Key(
        name="projects.share",
        default=("*",),
        doc='principals who may share projects and join those of others; "*" for all, [] for none',
    ),
    Key(
        name="passphrase.minimum",
        default=12,
        minimum=1,
        doc="least number of characters of a new passphrase, unless `new` has --allow-weak",
    ),
    Key(
        name="passphrase.cost",
        default=16,
        minimum=10,
        maximum=18,
        doc="what each try of a new passphrase costs: 2^N KiB of memory, as gocryptfs's -scryptn N",
    ),
    Key(name="passphrase.wait_max", default=30, doc="longest wait after wrong passphrases, in seconds"),
    Key(
        name="unlock.kinds",
        default=("passphrase", "ssh-key", "recovery"),
        doc="kinds of ways to unlock that users may add to a project; those that it has already stay",
    ),
    Key(
        name="unlock.recovery",
        default="optional",
        choices=("optional", "required"),
        doc='whether a new project gets a recovery code: "optional" (new --recovery), or "required"',
    ),
    Key(name="idle.session", default=600, minimum=1, doc="seconds without activity after which a session is closed"),
    Key(
        name="idle.view",
        default=600,
        minimum=1,
        doc="seconds without file I/O or a command after which a project is locked",
    ),
    Key(
        name="idle.view_longest",
        default=0,
        doc="longest idle limit in seconds that a user may set for a project; 0: that of idle.view",
    ),
    Key(name="idle.warning", default=60, doc="seconds of warning before a session is closed or a project is locked"),
    Key(name="trash.days", default=30, doc="days after which a removed project is deleted for good"),
    Key(name="lock.grace", default=2, doc="seconds between SIGTERM and SIGKILL for attached programs"),
    Key(
        name="run.commands",
        default=("*",),
        doc='programs that `run` may start, by the name that is typed; "*" for all, [] for none',
    ),
    Key(
        name="run.paths",
        default=(),
        doc="directories that programs may read in addition to /usr, such as a toolchain's",
    ),
    Key(
        name="run.network",
        default="none",
        choices=("none", "nat"),
        or_targets=True,
        doc='network of a program with `run --net`: "none", ["example.org:443", ...] for these names and ports alone, '
        'or "nat" for all connections out through the gateway',
    ),
    Key(
        name="run.tmpfs",
        default=256,
        minimum=1,
        doc="size in MiB of each tmpfs of a program: /tmp, /run, /dev/shm and $HOME",
    ),
    Key(name="run.processes", default=1024, doc="most processes and threads of one program; 0: no limit"),
    Key(
        name="run.memory",
        default=4096,
        doc="most memory of a program in MiB (without a cgroup: private data of each process); 0: no limit",
    ),
    Key(name="run.cpu", default=0, doc="most CPU seconds of each process; 0: no limit"),
    Key(name="run.file_size", default=0, doc="largest file that a program may write, in MiB; 0: no limit"),
    Key(name="run.output", default=0, doc="most output of a program in MiB; 0: no limit"),
    Key(name="run.time", default=0, doc="longest run of a program in seconds; 0: no limit"),
    Key(name="limits.sessions", default=32, doc="most live sessions of a principal; 0: no limit"),
    Key(name="limits.views", default=64, doc="most unlocked projects of a principal; 0: no limit"),
    Key(name="limits.projects", default=1000, doc="most projects of a principal; 0: no limit"),
    Key(name="limits.programs", default=64, doc="most attached programs of a principal; 0: no limit"),
    Key(
        name="limits.disk", default=0, doc="most disk space in MiB of all projects of a principal together; 0: no limit"
    ),
    Key(name="limits.logins", default=1200, doc="most connections of a principal per minute; 0: no limit"),
    Key(name="limits.requests", default=3000, doc="most requests of a principal per minute; 0: no limit"),
)


ANY = "*"
"""In projects.create and projects.share any principal, in run.commands any program."""


class Config(Record):
    """The values of `KEYS`, with `_` for the dot in a key's name. Paths are absolute; units are those of `KEYS`. The
    three of a cluster are all set, or all empty.
    """

    paths_vaults: str
    paths_run: str
    paths_audit: str
    paths_authorized_keys: str
    paths_enrolments: str
    paths_pause: str
    audit_syslog: str
    audit_when_full: str
    audit_reserve: int
    audit_rotate: int
    audit_keep: int
    audit_programs: str
    cluster_directory: str
    cluster_host: str
    cluster_address: str
    cluster_stale: int
    projects_create: tuple[str, ...]
    projects_share: tuple[str, ...]
    passphrase_minimum: int
    passphrase_cost: int
    passphrase_wait_max: int
    unlock_kinds: tuple[str, ...]
    unlock_recovery: str
    idle_session: int
    idle_view: int
    idle_view_longest: int
    idle_warning: int
    trash_days: int
    lock_grace: int
    run_commands: tuple[str, ...]
    run_paths: tuple[str, ...]
    run_network: str | tuple[str, ...]
    run_tmpfs: int
    run_processes: int
    run_memory: int
    run_cpu: int
    run_file_size: int
    run_output: int
    run_time: int
    limits_sessions: int
    limits_views: int
    limits_projects: int
    limits_programs: int
    limits_disk: int
    limits_logins: int
    limits_requests: int

    @property
    def account_directory(self) -> str:
        """A directory whose owner is the gateway's account. In a cluster it is none of the store, which may not answer
        or may have put this host out: what ends things works then.
        """
        return self.paths_run if self.cluster_directory else self.paths_vaults
