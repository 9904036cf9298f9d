"""gateway.toml: every key, its type, default and meaning, in one table."""

from __future__ import annotations

from gateway.base.records import Record


class Key(Record):
    """One key: its dotted name in the file, its default (which fixes its type), the least value, the only values that
    it can have (if there are `choices`), and what it means.
    """

    name: str
    default: str | int | tuple[str, ...]
    least: int = 0
    choices: tuple[str, ...] = ()
    doc: str


KEYS = (
    Key(name="paths.vaults", default="/var/lib/enc/vaults", doc="ciphertext of all principals"),
    Key(name="paths.run", default="/run/enc", doc="live sessions; a tmpfs"),
    Key(name="paths.audit", default="/var/log/enc/audit.jsonl", doc="the audit log"),
    Key(name="paths.authorized_keys", default="/etc/enc/authorized_keys", doc="the file that sshd reads"),
    Key(name="paths.enrolments", default="/var/lib/enc/enrolments", doc="keys that were handed in, to be approved"),
    Key(
        name="paths.pause", default="/etc/enc/paused", doc="while it is there, nothing new begins; `enc-gateway pause`"
    ),
    Key(name="audit.syslog", default="/dev/log", doc='socket that gets a copy of every audit record; "" for none'),
    Key(
        name="audit.when_full",
        default="refuse",
        choices=("refuse", "continue"),
        doc="what a request comes to that cannot be recorded; continue: it goes on, in syslog at best",
    ),
    Key(name="audit.reserve", default=4, doc="MiB of its disk that are left for recording how sessions end"),
    Key(
        name="audit.rotate", default=64, doc="MiB from which `enc-gateway audit rotate --due` rotates the log; 0: never"
    ),
    Key(name="audit.keep", default=0, doc="rotated logs that are kept; 0: all"),
    Key(name="projects.create", default=("*",), doc='principals who may create projects; "*" for all, [] for none'),
    Key(name="passphrase.minimum", default=12, least=1, doc="characters that `new` asks for without --allow-weak"),
    Key(name="passphrase.wait_max", default=30, doc="seconds; the longest wait after wrong passphrases"),
    Key(name="idle.session", default=600, least=1, doc="seconds without activity until a session is closed"),
    Key(name="idle.view", default=600, least=1, doc="seconds without file I/O or a command until a project is locked"),
    Key(name="idle.view_longest", default=0, doc="the longest limit that a project may have; 0: that of idle.view"),
    Key(name="idle.warning", default=60, doc="seconds before either that a warning is given"),
    Key(name="trash.days", default=30, doc="days until a removed project is deleted for good"),
    Key(name="lock.grace", default=2, doc="seconds that attached programs have between SIGTERM and SIGKILL"),
    Key(
        name="run.commands",
        default=("*",),
        doc='what `run` may start: names as they are typed; "*" for all, [] for none',
    ),
    Key(name="run.paths", default=(), doc="directories that programs may read beside /usr, such as a toolchain's"),
    Key(name="run.network", default="none", choices=("none", "nat"), doc="what `run --net` gives a program"),
    Key(name="run.tmpfs", default=256, least=1, doc="MiB, each: /tmp, /run, /dev/shm and $HOME of a program"),
    Key(name="run.processes", default=1024, doc="processes and threads of one program; 0: no limit"),
    Key(
        name="run.memory",
        default=4096,
        doc="MiB of memory of a program in a cgroup, else of private data of each process; 0: no limit",
    ),
    Key(name="run.cpu", default=0, doc="seconds of CPU of each process; 0: no limit"),
    Key(name="run.file_size", default=0, doc="MiB of a file that a program writes; 0: no limit"),
    Key(name="run.output", default=0, doc="MiB that a program may print; 0: no limit"),
    Key(name="run.time", default=0, doc="seconds that a program may take; 0: no limit"),
    Key(name="limits.sessions", default=32, doc="live sessions of a principal; 0: no limit"),
    Key(name="limits.views", default=64, doc="unlocked projects of a principal; 0: no limit"),
    Key(name="limits.projects", default=1000, doc="projects of a principal; 0: no limit"),
    Key(name="limits.programs", default=64, doc="attached programs of a principal; 0: no limit"),
    Key(name="limits.disk", default=0, doc="MiB on disk of all of a principal's projects; 0: no limit"),
    Key(name="limits.logins", default=0, doc="connections of a principal in a minute; 0: no limit"),
)


ANY = "*"
"""In projects.create: any principal; in run.commands: any program."""


DEFAULT_AUDIT = next(str(key.default) for key in KEYS if key.name == "paths.audit")


class Config(Record):
    """The values of `KEYS`; a dot in a key is an underscore here. Paths are absolute, times in seconds."""

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
    projects_create: tuple[str, ...]
    passphrase_minimum: int
    passphrase_wait_max: int
    idle_session: int
    idle_view: int
    idle_view_longest: int
    idle_warning: int
    trash_days: int
    lock_grace: int
    run_commands: tuple[str, ...]
    run_paths: tuple[str, ...]
    run_network: str
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
